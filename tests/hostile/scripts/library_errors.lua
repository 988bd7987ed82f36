-- Errors raised by C++ code, caught.
-- ends: LuaTimeout
-- weakest: interrupt

local sleep = require('osthread').sleep
while true do pcall(sleep, -1) pcall(sleep, 'x') end
