-- Recursion through print and __tostring.
-- ends: LuaError
-- weakest: kill

local t = setmetatable({}, {__tostring = function(t) print(t) return 'x' end})
print(t)
