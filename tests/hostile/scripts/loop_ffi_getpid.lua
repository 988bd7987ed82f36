-- Calls a short C function in machine code.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int getpid(void);')
local n = 0
while true do n = n + ffi.C.getpid() end
