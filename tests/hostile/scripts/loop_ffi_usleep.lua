-- Calls a C function that sleeps for a moment each time.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int usleep(unsigned);')
while true do ffi.C.usleep(100) end
