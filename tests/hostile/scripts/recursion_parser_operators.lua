-- A megabyte of operators that bind to the right.
-- ends: LuaError
-- weakest: interrupt

return assert(load('return ' .. ('1 ^ '):rep(2^18) .. '1'))
