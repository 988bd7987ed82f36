-- Recursion through the callback of string.gsub.
-- ends: LuaError
-- weakest: kill

local function f() return (('x'):gsub('.', f)) end
return f()
