-- Plain recursion: LuaJIT's own limit ends it.
-- ends: LuaError
-- weakest: interrupt

local function f(n) return 1 + f(n + 1) end
return f(1)
