-- Recursion through gsub, from a coroutine.
-- ends: LuaError
-- weakest: kill

local function f() return (('x'):gsub('.', f)) end
return coroutine.wrap(f)()
