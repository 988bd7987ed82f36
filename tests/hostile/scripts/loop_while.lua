-- An empty loop, soon machine code.
-- ends: LuaTimeout
-- weakest: interrupt

while true do end
