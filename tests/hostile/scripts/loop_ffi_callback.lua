-- A C function that calls back into Lua, where the loop is.
-- ends: LuaTimeout
-- weakest: none

-- The loop is bounded: below it lies a frame of C, over which no kill may jump.
local ffi = require('ffi')
ffi.cdef('void qsort(void *, size_t, size_t, int (*)(const int *, const int *));')
local a = ffi.new('int[2]', 2, 1)
local compare = ffi.cast('int (*)(const int *, const int *)', function()
  local t = os.clock()
  while os.clock() - t < 0.3 do end
  return 0
end)
ffi.C.qsort(a, 2, 4, compare)
while true do end
