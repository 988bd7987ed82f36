-- One large cdata after the other, each twice as large.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local new, t, n = require('ffi').new, {}, 1
while true do
  t[#t + 1] = new('char[?]', n)
  n = n * 2
end
