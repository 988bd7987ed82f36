-- A table of a hundred million places at once.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return require('table.new')(1e8, 0)
