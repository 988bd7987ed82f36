-- Waits for a semaphore that nobody posts.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
ffi.cdef('int sem_init(void *, int, unsigned); int sem_wait(void *);')
local semaphore = ffi.new('uint64_t[16]')
ffi.C.sem_init(semaphore, 0, 0)
while true do ffi.C.sem_wait(semaphore) end
