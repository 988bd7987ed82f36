-- table.insert without an end.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do table.insert(t, 1.5) end
