-- An array part that doubles.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
for i = 1, math.huge do t[i] = i end
