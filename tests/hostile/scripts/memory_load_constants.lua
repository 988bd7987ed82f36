-- A table constructor with a million entries.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return assert(load('return {' .. ('{1},'):rep(1e6) .. '}'))()
