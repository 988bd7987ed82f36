-- Hooks are the whole state's in LuaJIT: a coroutine removes them.
-- ends: LuaTimeout
-- weakest: interrupt

local co = coroutine.wrap(function() while true do debug.sethook() coroutine.yield() end end)
while true do co() end
