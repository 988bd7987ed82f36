-- next in a circle, without a for.
-- ends: LuaTimeout
-- weakest: interrupt

local t, k = {a = 1, b = 2, c = 3}, nil
while true do k = next(t, k) end
