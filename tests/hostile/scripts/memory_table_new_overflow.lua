-- A table of a thousand million places: more than LuaJIT can name.
-- ends: LuaError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

return require('table.new')(1e9, 0)
