-- Writes an FFI array over and over, in machine code without a call.
-- ends: LuaTimeout
-- weakest: interrupt

local a = require('ffi').new('double[?]', 1000)
while true do
  for i = 0, 999 do a[i] = a[i] * 0.5 + i end
end
