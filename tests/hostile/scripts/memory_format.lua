-- string.format of a long string, many times.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local s = ('x'):rep(2^20)
local t = {}
for i = 1, 100 do t[i] = s end
return (('%s'):rep(100):format(unpack(t)))
