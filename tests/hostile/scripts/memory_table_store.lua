-- A far index, which would make a large array.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
for i = 1, 30 do for j = 1, 2 ^ i do t[j] = true end end
