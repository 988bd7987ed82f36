-- Makes callbacks for C and frees them.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
local kind = ffi.typeof('int (*)(int)')
while true do
  local callback = ffi.cast(kind, function(n) return n end)
  callback(1)
  callback:free()
end
