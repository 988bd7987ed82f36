-- Recursion through load's reader function.
-- ends: LuaError
-- weakest: kill

local function f() load(f) end
f()
error('came back')
