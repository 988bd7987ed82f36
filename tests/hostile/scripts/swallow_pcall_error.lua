-- Nothing but errors, each caught.
-- ends: LuaTimeout
-- weakest: interrupt

while true do pcall(error, {}) end
