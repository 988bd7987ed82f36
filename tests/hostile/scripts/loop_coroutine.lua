-- A loop inside a coroutine.
-- ends: LuaTimeout
-- weakest: interrupt

coroutine.resume(coroutine.create(function() while true do end end))
while true do end
