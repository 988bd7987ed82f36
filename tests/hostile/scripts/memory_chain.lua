-- A list of tables, each in the one before: what marks it goes deep.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t
while true do t = {t} end
