-- Full collections over a large heap.
-- ends: LuaTimeout
-- weakest: interrupt

local t = {}
for i = 1, 2e5 do t[i] = {i} end
while true do collectgarbage() end
