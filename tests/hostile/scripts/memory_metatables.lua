-- Tables that are their own metatables.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do local m = {} t[#t + 1] = setmetatable(m, m) end
