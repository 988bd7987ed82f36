-- A finalizer that fills the memory and catches that it is full, for ever.
-- ends: LuaTimeout
-- weakest: kill
-- options: {"memory_limit": 16777216}

getmetatable(newproxy(true)).__gc = function()
  local t = {}
  local function fill() t[#t + 1] = ('x'):rep(1e5) .. #t end
  while true do pcall(fill) end
end
collectgarbage()
