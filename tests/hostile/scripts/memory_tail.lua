-- Full memory in a coroutine in a pcall in a coroutine, for ever.
-- ends: LuaTimeout or LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local function fill() local t = {} while true do t[#t + 1] = {} end end
local function inner() return pcall(coroutine.wrap(fill)) end
local function outer() return pcall(coroutine.wrap(inner)) end
while true do pcall(outer) end
