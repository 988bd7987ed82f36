-- A function that tail-calls itself: no loop, and no deeper stack.
-- ends: LuaTimeout
-- weakest: interrupt

local function f(n) return f(n + 1) end
f(1)
