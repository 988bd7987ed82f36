-- Error messages that grow: each holds the one before.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local m = 'x'
while true do local _, e = pcall(error, m .. m, 0) m = e end
