-- A finalizer whose loop is compiled long since.
-- ends: LuaTimeout
-- weakest: kill

local function work(n) local x = 0 for i = 1, n do x = x + i % 3 end return x end
for _ = 1, 100 do work(100) end
getmetatable(newproxy(true)).__gc = function() work(math.huge) end
collectgarbage()
