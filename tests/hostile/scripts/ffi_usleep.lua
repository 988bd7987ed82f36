-- One long usleep.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int usleep(unsigned);')
ffi.C.usleep(60e6)
while true do end
