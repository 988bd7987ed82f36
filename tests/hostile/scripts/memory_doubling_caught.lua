-- A string that doubles, caught at each full memory, for ever.
-- ends: LuaTimeout
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

while true do
  pcall(function() local s = 'x' while true do s = s .. s end end)
end
