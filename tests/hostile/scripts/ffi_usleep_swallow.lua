-- Long usleeps, and every stop is caught.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int usleep(unsigned);')
while true do pcall(function() ffi.C.usleep(60e6) end) end
