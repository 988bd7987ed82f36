-- A numeric for without an end.
-- ends: LuaTimeout
-- weakest: interrupt

for i = 1, math.huge do end
