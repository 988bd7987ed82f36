-- Numeric loops in loops, each a trace of its own.
-- ends: LuaTimeout
-- weakest: interrupt

local sum = 0
while true do
  for i = 1, 100 do
    for j = i, 100 do sum = (sum + i * j) % 1000003 end
  end
end
