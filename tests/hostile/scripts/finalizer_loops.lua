-- A finalizer that loops when it is collected.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  while true do end
end
collectgarbage()
