-- Coroutine stacks that grow and shrink.
-- ends: LuaTimeout
-- weakest: interrupt

local function deep(n) if n == 0 then coroutine.yield() return 0 end return 1 + deep(n - 1) end
while true do
  local co = coroutine.wrap(deep)
  co(3000)
  collectgarbage('step', 1000)
end
