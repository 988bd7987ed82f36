-- Removes every hook, all the time.
-- ends: LuaTimeout
-- weakest: interrupt

while true do debug.sethook() end
