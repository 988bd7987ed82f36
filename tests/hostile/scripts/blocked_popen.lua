-- Reads from a command that says nothing; the file's end waits for the command.
-- ends: LuaTimeout
-- weakest: none

local file = io.popen('sleep 0.5')
file:read('*a')
while true do end
