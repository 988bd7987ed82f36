-- A hook of its own at each instruction.
-- ends: LuaTimeout
-- weakest: interrupt

local n = 0
debug.sethook(function() n = n + 1 end, '', 1)
while true do end
