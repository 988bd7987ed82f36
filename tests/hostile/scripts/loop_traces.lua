-- Fills the trace cache and the machine code area until they are flushed, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  local f = load('local n = ... for i = 1, 200 do n = n + i % 3 end return n')
  f(1)
end
