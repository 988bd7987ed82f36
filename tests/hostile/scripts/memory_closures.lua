-- Closures in a list.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local f
while true do local g = f f = function() return g end end
