-- Large arrays that are rehashed into small ones: blocks that shrink where they are.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  local t = {}
  for i = 1, 1e5 do t[i] = i end
  for i = 1, 1e5 do t[i] = nil end
  for i = 1, 100 do t['k' .. i] = i end
end
