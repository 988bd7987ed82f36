-- An empty loop in a state without a compiler.
-- ends: LuaTimeout
-- weakest: interrupt
-- options: {"jit": False}

while true do end
