-- The smallest limit there is, reached at once.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 65536}

local t = {}
while true do t[#t + 1] = 'x' .. #t end
