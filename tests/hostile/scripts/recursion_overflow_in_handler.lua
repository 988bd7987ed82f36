-- Overflows the stack in the handler of an overflow.
-- ends: LuaTimeout
-- weakest: interrupt

local function f(n) return 1 + f(n + 1) end
while true do xpcall(f, f, 1) end
