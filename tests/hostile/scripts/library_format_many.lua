-- One format of thousands of numbers.
-- ends: LuaTimeout
-- weakest: interrupt

local format, t = ('%99.99f'):rep(200), {}
for i = 1, 200 do t[i] = 1e308 end
while true do local s = format:format(unpack(t)) end
