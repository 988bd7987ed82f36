-- Declares types without an end.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
local n = 0
while true do
  n = n + 1
  pcall(ffi.cdef, 'struct s' .. n .. ' { int x, y; };')
end
