-- nanosleep without an end.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int nanosleep(const long *, long *);')
local time = ffi.new('long[2]', 1e9, 0)  -- seconds, nanoseconds
while true do ffi.C.nanosleep(time, nil) end
