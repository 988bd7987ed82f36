-- Handler and body are the same endless function.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do end end
while true do xpcall(f, f) end
