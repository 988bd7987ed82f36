-- Coroutines with deep stacks.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local function deep(n) if n == 0 then coroutine.yield() end deep(n - 1) return n end
local t = {}
while true do
  t[#t + 1] = coroutine.wrap(deep)
  t[#t](5000)
end
