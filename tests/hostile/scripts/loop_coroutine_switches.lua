-- Nothing but switches between coroutines.
-- ends: LuaTimeout
-- weakest: interrupt

local function body() while true do coroutine.yield() end end
local a, b = coroutine.wrap(body), coroutine.wrap(body)
while true do a() b() end
