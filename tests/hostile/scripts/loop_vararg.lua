-- Calls with many arguments, which are copied each time.
-- ends: LuaTimeout
-- weakest: interrupt

local function f(...) return select('#', ...) end
local t = {}
for i = 1, 200 do t[i] = i end
while true do f(unpack(t)) end
