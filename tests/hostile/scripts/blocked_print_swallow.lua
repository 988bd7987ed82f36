-- Prints without an end, caught.
-- ends: LuaTimeout
-- weakest: interrupt

while true do pcall(print, 'x') end
