-- The same at the state's end.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  while true do pcall(function() while true do end end) end
end
