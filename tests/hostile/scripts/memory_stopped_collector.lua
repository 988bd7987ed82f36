-- Garbage only, but the collector is stopped.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

collectgarbage('stop')
while true do t = {} end
