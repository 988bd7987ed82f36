-- __index that does what called it.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {})
getmetatable(t).__index = function(t) return (t.x), 1 end
return (t.x)
