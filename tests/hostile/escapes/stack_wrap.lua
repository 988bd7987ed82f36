-- C's stack, by coroutine.wrap.
-- needs: kill

local function f() return coroutine.wrap(f)() end
return f()
