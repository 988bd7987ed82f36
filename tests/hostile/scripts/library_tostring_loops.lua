-- __tostring that loops, below tostring.
-- ends: LuaTimeout
-- weakest: interrupt

return tostring(setmetatable({}, {__tostring = function() while true do end end}))
