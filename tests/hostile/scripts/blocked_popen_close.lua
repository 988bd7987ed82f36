-- Waits for a command in close.
-- ends: LuaTimeout
-- weakest: none

io.popen('sleep 0.5'):close()
while true do end
