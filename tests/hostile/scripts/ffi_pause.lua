-- pause, which waits for a signal, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int pause(void);')
while true do ffi.C.pause() end
