-- Prints without an end.
-- ends: LuaTimeout
-- weakest: interrupt

while true do print('x') end
