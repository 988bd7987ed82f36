-- Globals without an end.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local n = 0
while true do n = n + 1 _G['g' .. n] = {} end
