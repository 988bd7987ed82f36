-- The same on the smallest stack there is.
-- ends: LuaError
-- weakest: kill
-- options: {"stack_size": 262144}

local function f() return coroutine.wrap(f)() end
return f()
