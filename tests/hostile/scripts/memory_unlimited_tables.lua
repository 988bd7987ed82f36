-- Tables in a table, as much as there is time for.
-- ends: LuaTimeout
-- weakest: interrupt

local t = {}
while true do t[#t + 1] = {} end
