-- Upvalues: each closure holds many variables of its own.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do
  local a, b, c, d, e = {}, {}, {}, {}, {}
  t[#t + 1] = function() return a, b, c, d, e end
end
