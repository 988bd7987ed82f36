-- Three functions that tail-call each other.
-- ends: LuaTimeout
-- weakest: interrupt

local g, h
local function f(n) return g(n + 1) end
function g(n) return h(n + 1) end
function h(n) return f(n + 1) end
f(1)
