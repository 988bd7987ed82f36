-- Drives the collector by hand, in odd steps, and stops and starts it.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  local t = {}
  for i = 1, 100 do t[i] = {i} end
  collectgarbage('stop')
  collectgarbage('step', 1)
  collectgarbage('setpause', 50)
  collectgarbage('setstepmul', 1000)
  collectgarbage('restart')
end
