-- Overflows C's stack in a finalizer at the end; nobody may notice but the finalizer.
-- ends: LuaError
-- weakest: kill

-- The result is not out yet when finalizers run, so the overflow is the thread's end.
local function f() return coroutine.wrap(f)() end
getmetatable(newproxy(true)).__gc = f
