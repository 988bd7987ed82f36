-- An empty loop that is never compiled.
-- ends: LuaTimeout
-- weakest: interrupt

jit.off()
while true do end
