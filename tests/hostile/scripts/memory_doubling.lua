-- A string that doubles.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local s = 'x'
while true do s = s .. s end
