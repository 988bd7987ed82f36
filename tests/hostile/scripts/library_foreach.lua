-- table.foreach whose function loops, caught.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do pcall(function() while true do end end) end end
while true do table.foreach({1}, f) end
