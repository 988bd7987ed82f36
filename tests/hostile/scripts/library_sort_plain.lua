-- Sorts without a comparator: C code all the time.
-- ends: LuaTimeout
-- weakest: kill

local t = {}
for i = 1, 2e6 do t[i] = (i * 7919) % 1000003 end
while true do
  table.sort(t)
  for i = 1, 1000 do t[i] = -t[i] end
end
