-- A hash part that doubles.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 4194304}

local t, n = {}, 0
while true do n = n + 1 t['k' .. n] = n end
