-- Sets a hook of its own, all the time.
-- ends: LuaTimeout
-- weakest: interrupt

local function nothing() end
while true do debug.sethook(nothing, '', 1) end
