-- Weak tables that hold what holds them.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do
  local w = setmetatable({}, {__mode = 'k'})
  w[w] = {w}
  t[#t + 1] = w
end
