-- __lt that does what called it.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {})
getmetatable(t).__lt = function(t) return (t < t), 1 end
return (t < t)
