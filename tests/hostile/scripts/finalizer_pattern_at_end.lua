-- The same at the state's end.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  return ('a'):rep(40):find(('.-'):rep(20) .. 'b')
end
