-- Strings in a table, as many as there is time for.
-- ends: LuaTimeout
-- weakest: interrupt

local t, n = {}, 0
while true do n = n + 1 t[n] = 's' .. n end
