-- The lexer is busy with megabytes of a comment, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

local text = '--[==[' .. ('x]=]'):rep(1e6) .. ']==] return 1'
while true do load(text)() end
