-- string.rep with a separator that makes it gigabytes.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return ('x'):rep(2^20, ('y'):rep(2^12))
