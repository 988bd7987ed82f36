-- A finalizer that opens files and loops, with files open.
-- ends: LuaTimeout
-- weakest: kill

local files = {}
for i = 1, 20 do files[i] = io.open('/dev/null') end
getmetatable(newproxy(true)).__gc = function()
  for i = 21, 40 do files[i] = io.open('/dev/null') end
  while true do end
end
collectgarbage()
