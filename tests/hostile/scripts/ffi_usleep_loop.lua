-- Long usleeps, one after the other.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int usleep(unsigned);')
while true do ffi.C.usleep(60e6) end
