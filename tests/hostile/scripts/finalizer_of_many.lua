-- A thousand finalizers at the end, each of which loops: one kill must do for all.
-- ends: LuaTimeout
-- weakest: kill

kept = {}
for i = 1, 1000 do
  kept[i] = newproxy(true)
  getmetatable(kept[i]).__gc = function() while true do end end
end
