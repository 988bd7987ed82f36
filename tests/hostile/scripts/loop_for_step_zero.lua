-- A numeric for that stands still.
-- ends: LuaTimeout
-- weakest: interrupt

for i = 1, 2, 0 do end
