-- A finalizer that loops and catches everything.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  while true do pcall(function() while true do end end) end
end
collectgarbage()
