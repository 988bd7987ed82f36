-- Ever larger code to compile.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local s = 'x = 1 '
while true do s = s .. s assert(load(s)) end
