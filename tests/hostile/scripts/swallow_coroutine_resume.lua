-- coroutine.resume eats the stop without any pcall.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do end end
while true do coroutine.resume(coroutine.create(f)) end
