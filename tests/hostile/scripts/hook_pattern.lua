-- A hook that is busy in a pattern match.
-- ends: LuaTimeout
-- weakest: kill

debug.sethook(function() return ('a'):rep(40):find(('.-'):rep(20) .. 'b') end, '', 1)
while true do end
