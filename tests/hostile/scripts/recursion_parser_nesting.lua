-- Blocks nested deeper than the parser goes.
-- ends: LuaError
-- weakest: interrupt

return assert(load(('do '):rep(300) .. ('end '):rep(300)))
