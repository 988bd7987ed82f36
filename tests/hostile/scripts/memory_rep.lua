-- string.rep of gigabytes.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return ('x'):rep(2^30)
