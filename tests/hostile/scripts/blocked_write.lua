-- Writes to a file that takes everything.
-- ends: LuaTimeout
-- weakest: interrupt

local file = io.open('/dev/null', 'w')
local s = ('x'):rep(2^16)
while true do file:write(s) end
