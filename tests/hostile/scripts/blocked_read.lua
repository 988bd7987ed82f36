-- Reads a file that has no end.
-- ends: LuaTimeout
-- weakest: interrupt

local file = io.open('/dev/zero')
while true do file:read(2^16) end
