-- The buffer in which strings are made grows large, and the collector shrinks it.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  local s = ('x'):rep(2^20):upper()
  for _ = 1, 10 do collectgarbage() end
end
