-- __call that does what called it.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {})
getmetatable(t).__call = function(t) return (t() + 1), 1 end
return (t() + 1)
