-- Catches the stop of each sleep and sleeps again.
-- ends: LuaTimeout
-- weakest: interrupt

local osthread = require('osthread')
while true do pcall(osthread.sleep, 1e9) end
