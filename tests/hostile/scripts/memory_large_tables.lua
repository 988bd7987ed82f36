-- Large hash parts that come and go.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  local t = {}
  for i = 1, 5000 do t[i * 1.5] = {} end
end
