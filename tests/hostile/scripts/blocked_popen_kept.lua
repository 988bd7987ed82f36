-- Runs with a command's output open: the file's end waits for the command.
-- ends: LuaTimeout
-- weakest: none

local file = io.popen('sleep 0.5')
while true do end
