-- string.rep of a hundred million bytes, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

while true do local s = ('x'):rep(1e8) end
