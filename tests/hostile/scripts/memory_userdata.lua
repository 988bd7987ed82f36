-- Userdata by newproxy.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do t[#t + 1] = newproxy(true) end
