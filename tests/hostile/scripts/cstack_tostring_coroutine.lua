-- Recursion through tostring, each level in a coroutine of its own.
-- ends: LuaError
-- weakest: kill

local t = setmetatable({}, {__tostring = function(t) return coroutine.wrap(tostring)(t) end})
return tostring(t)
