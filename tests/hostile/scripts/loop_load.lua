-- Compiles new code in each round, so that nothing stays compiled.
-- ends: LuaTimeout
-- weakest: interrupt

local n = 0
while true do
  n = n + 1
  load('local x = ' .. n .. ' for i = 1, 100 do x = x + i end return x')()
end
