-- A string that grows by a piece in each round: what it was is garbage.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 4194304}

local s, piece = '', ('x'):rep(1e4)
while true do s = s .. piece end
