-- load's reader function loops.
-- ends: LuaTimeout
-- weakest: interrupt

return assert(load(function() while true do end end))
