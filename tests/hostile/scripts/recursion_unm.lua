-- __unm that does what called it.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {})
getmetatable(t).__unm = function(t) return (-t + 1), 1 end
return (-t + 1)
