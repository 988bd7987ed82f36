-- A string.buffer that grows.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local b = require('string.buffer').new()
while true do b:put('xxxxxxxxxxxxxxxx') end
