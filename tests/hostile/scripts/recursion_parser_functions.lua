-- Functions nested deeper than the parser goes.
-- ends: LuaError
-- weakest: interrupt

return assert(load(('return function() '):rep(300) .. ('end '):rep(300)))
