-- table.concat of one long string, many times.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t, s = {}, ('x'):rep(2^20)
for i = 1, 1000 do t[i] = s end
return table.concat(t)
