-- __eq that compares what it was asked to compare.
-- ends: LuaError
-- weakest: interrupt

local m = {}
m.__eq = function(a, b) return a == b, 1 end
return setmetatable({}, m) == setmetatable({}, m)
