-- __concat that does what called it.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {})
getmetatable(t).__concat = function(t) return (t .. t), 1 end
return (t .. t)
