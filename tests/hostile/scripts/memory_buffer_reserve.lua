-- A string.buffer that reserves more than there is.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return require('string.buffer').new():reserve(2^30)
