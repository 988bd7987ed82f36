-- Sleeps for ever.
-- ends: LuaTimeout
-- weakest: interrupt

require('osthread').sleep(1e9)
while true do end
