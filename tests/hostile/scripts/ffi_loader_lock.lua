-- A callback that is called under the loader's lock, and takes its time there.
-- ends: LuaTimeout
-- weakest: none

-- It is bounded: a stop may not leave the lock taken, so it has to wait.
local ffi = require('ffi')
ffi.cdef('int dl_iterate_phdr(int (*)(void *, size_t, void *), void *);')
ffi.C.dl_iterate_phdr(function()
  local t = os.clock()
  while os.clock() - t < 0.3 do end
  return 1
end, nil)
while true do end
