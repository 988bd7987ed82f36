-- The error handler loops.
-- ends: LuaTimeout
-- weakest: interrupt

xpcall(error, function() while true do end end)
while true do end
