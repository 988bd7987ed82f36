-- Tables nested deeper than the parser goes, again and again.
-- ends: LuaTimeout
-- weakest: interrupt

local text = 'return ' .. ('{'):rep(2^16) .. ('}'):rep(2^16)
while true do load(text) end
