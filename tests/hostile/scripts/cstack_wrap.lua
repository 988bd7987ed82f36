-- Recursion through coroutine.wrap.
-- ends: LuaError
-- weakest: kill

local function f() return coroutine.wrap(f)() end
return f()
