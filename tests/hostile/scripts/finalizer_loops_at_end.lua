-- A finalizer that loops at the state's end.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  while true do end
end
