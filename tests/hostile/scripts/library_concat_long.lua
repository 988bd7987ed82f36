-- table.concat of a million strings, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

local t = {}
for i = 1, 1e6 do t[i] = 'xxxx' end
while true do local s = table.concat(t, ',') end
