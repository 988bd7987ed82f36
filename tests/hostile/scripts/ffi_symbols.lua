-- Asks the loader for symbols that there are not.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi, n = require('ffi'), 0
while true do
  n = n + 1
  pcall(function()
    ffi.cdef('int osthread_none_' .. n .. '(void);')
    return ffi.C['osthread_none_' .. n]
  end)
end
