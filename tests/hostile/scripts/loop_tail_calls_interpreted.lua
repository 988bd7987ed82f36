-- Mutual tail calls that are never compiled.
-- ends: LuaTimeout
-- weakest: interrupt

jit.off()
local g
local function f(n) return g(n + 1) end
function g(n) return f(n - 1) end
f(1)
