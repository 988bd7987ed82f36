-- Reads all of a file that has no end.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return io.open('/dev/zero'):read('*a')
