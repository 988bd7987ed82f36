-- A line hook that never returns and catches all.
-- ends: LuaTimeout
-- weakest: kill

debug.sethook(function() while true do pcall(function() while true do end end) end end, 'l')
local x = 1
x = 2
while true do end
