-- A table with ever longer keys.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t, k = {}, 'k'
while true do k = k .. 'kkkkkkkkkkkkkkkk' t[k] = true end
