-- Small cdata in a table.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local new, t = require('ffi').new, {}
while true do t[#t + 1] = new('double[100]') end
