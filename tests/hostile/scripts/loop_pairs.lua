-- pairs over a small table, again and again.
-- ends: LuaTimeout
-- weakest: interrupt

local t, n = {1, 2, 3, x = 4, y = 5}, 0
while true do
  for _, v in pairs(t) do n = n + v end
end
