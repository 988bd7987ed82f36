-- More results than fit on the stack.
-- ends: LuaError
-- weakest: interrupt

return unpack({}, 1, 1e7)
