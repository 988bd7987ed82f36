-- A finalizer that is busy in a pattern match.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  return ('a'):rep(40):find(('.-'):rep(20) .. 'b')
end
collectgarbage()
