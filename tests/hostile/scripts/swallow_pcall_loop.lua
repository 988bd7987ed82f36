-- Catches each stop and goes on.
-- ends: LuaTimeout
-- weakest: interrupt

while true do pcall(function() while true do end end) end
