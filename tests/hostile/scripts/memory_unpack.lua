-- Many values on the stack, in many coroutines.
-- ends: LuaMemoryError
-- weakest: interrupt
-- options: {"memory_limit": 16777216}

local t = {}
while true do
  local co = coroutine.wrap(function(...) coroutine.yield() return ... end)
  co(unpack({}, 1, 7000))
  t[#t + 1] = co
end
