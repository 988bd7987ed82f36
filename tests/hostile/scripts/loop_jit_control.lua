-- Switches the compiler off and on, and flushes it, in the middle of its work.
-- ends: LuaTimeout
-- weakest: interrupt

local n = 0
while true do
  jit.off()
  for i = 1, 50 do n = n + i end
  jit.on()
  for i = 1, 200 do n = n + i end
  jit.flush()
end
