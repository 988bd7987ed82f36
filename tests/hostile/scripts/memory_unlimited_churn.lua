-- Garbage of all sizes, as fast as it comes: large blocks come and go.
-- ends: LuaTimeout
-- weakest: interrupt

local new = require('ffi').new
while true do
  for i = 4, 22 do local s, c = ('x'):rep(2 ^ i), new('char[?]', 2 ^ i) end
end
