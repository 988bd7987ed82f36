-- The same without the compiler.
-- ends: LuaTimeout
-- weakest: interrupt
-- options: {"jit": False}

while true do pcall(function() while true do end end) end
