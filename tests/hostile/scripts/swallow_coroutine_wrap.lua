-- coroutine.wrap carries the stop out; pcall eats it.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do end end
while true do pcall(coroutine.wrap(f)) end
