-- __tostring that asks for its own text.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {__tostring = function(t) return 'x' .. tostring(t) end})
return tostring(t)
