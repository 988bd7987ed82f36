-- Tables in a table; full memory is caught with all of it alive, for ever.
-- ends: LuaTimeout or LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
local function fill() while true do t[#t + 1] = {} end end
while true do pcall(fill) end
