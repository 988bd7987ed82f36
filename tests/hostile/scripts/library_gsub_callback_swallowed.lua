-- gsub whose callback loops, caught, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do end end
while true do pcall(string.gsub, 'x', 'x', f) end
