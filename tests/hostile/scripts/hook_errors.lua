-- A hook that fails each time, caught.
-- ends: LuaTimeout
-- weakest: interrupt

debug.sethook(function() error('hook') end, '', 100)
while true do pcall(function() for i = 1, 1000 do end end) end
