-- gsub over long texts: C code for most of the time.
-- ends: LuaTimeout
-- weakest: interrupt

local s = ('abc'):rep(1e5)
while true do s:gsub('b', '%0') end
