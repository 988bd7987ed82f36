-- A finalizer that sleeps, caught, for ever.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function()
  local sleep = require('osthread').sleep
  while true do pcall(sleep, 1e9) end
end
collectgarbage()
