-- load's reader function gives pieces for ever.
-- ends: LuaTimeout
-- weakest: interrupt

return assert(load(function() return ' ' end))
