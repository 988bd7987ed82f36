-- Reads from a pipe that nobody writes to.
-- ends: LuaTimeout
-- weakest: interrupt
-- leaves: descriptors

local ffi = require('ffi')
ffi.cdef('int pipe(int *); long read(int, void *, size_t); int close(int);')
local ends = ffi.gc(ffi.new('int[2]'), function(p) ffi.C.close(p[0]) ffi.C.close(p[1]) end)
ffi.C.pipe(ends)
local place = ffi.new('char[1]')
while true do ffi.C.read(ends[0], place, 1) end
