-- Long strings turned around, raised and lowered.
-- ends: LuaTimeout
-- weakest: interrupt

local s = ('aB'):rep(1e6)
while true do s = s:reverse():upper():lower() end
