-- Is nearly always inside pcall itself.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() end
while true do pcall(f) end
