-- Sleeps for a moment, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

local sleep = require('osthread').sleep
while true do sleep(0.0001) end
