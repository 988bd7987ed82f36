-- A finalizer that loops in a coroutine.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  coroutine.wrap(function() while true do end end)()
end
collectgarbage()
