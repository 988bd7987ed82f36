-- Coroutines in a table, as many as there is time for.
-- ends: LuaTimeout
-- weakest: interrupt

local t = {}
while true do
  t[#t + 1] = coroutine.wrap(coroutine.yield)
  t[#t]()
end
