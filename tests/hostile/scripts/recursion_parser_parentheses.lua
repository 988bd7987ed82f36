-- A megabyte of parentheses.
-- ends: LuaError
-- weakest: interrupt

return assert(load('return ' .. ('('):rep(2^20) .. '1' .. (')'):rep(2^20)))
