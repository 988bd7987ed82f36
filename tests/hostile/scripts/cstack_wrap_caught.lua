-- Recursion through coroutine.wrap, each level in a pcall.
-- ends: LuaError
-- weakest: kill

local function f() return pcall(coroutine.wrap(f)) end
f()
error('came back')
