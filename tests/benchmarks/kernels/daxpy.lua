-- y = a x + y over FFI arrays that stay in the first cache.
local N = ... or 2000
local begin = os.clock()

local ffi = require("ffi")
local length = 1000
local x, y = ffi.new("double[?]", length), ffi.new("double[?]", length)
for i = 0, length - 1 do x[i], y[i] = i, -i end
for _ = 1, N * 500 do
  for i = 0, length - 1 do y[i] = 0.5 * x[i] + y[i] end
end

return os.clock() - begin, y[length - 1]
