-- The same at the state's end.
-- ends: LuaTimeout
-- weakest: kill

local large = ('x'):rep(2^20)
getmetatable(newproxy(true)).__gc = function()
  large = nil
  collectgarbage()
  while true do local s = ('y'):rep(2^20) end
end
