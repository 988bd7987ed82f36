-- The longest numbers string.format makes, one after the other.
-- ends: LuaTimeout
-- weakest: interrupt

while true do local s = ('%99.99f'):format(1e308) end
