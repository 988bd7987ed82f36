-- gsub that makes a long text out of a short one.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return (('x'):rep(2^16):gsub('x', ('y'):rep(2^16)))
