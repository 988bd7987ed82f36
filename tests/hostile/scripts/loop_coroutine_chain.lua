-- A loop at the end of a chain of coroutine.wrap.
-- ends: LuaTimeout
-- weakest: interrupt

local function chain(n)
  if n == 0 then while true do end end
  return coroutine.wrap(chain)(n - 1)
end
chain(50)
