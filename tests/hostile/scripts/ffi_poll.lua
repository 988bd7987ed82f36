-- poll for nothing, without a timeout.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int poll(void *, unsigned long, int);')
ffi.C.poll(nil, 0, -1)
while true do end
