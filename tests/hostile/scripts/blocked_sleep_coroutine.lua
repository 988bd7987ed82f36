-- Sleeps in a coroutine, caught.
-- ends: LuaTimeout
-- weakest: interrupt

local sleep = require('osthread').sleep
while true do coroutine.resume(coroutine.create(function() sleep(1e9) end)) end
