-- Makes coroutines that end at once, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

while true do coroutine.wrap(function() end)() end
