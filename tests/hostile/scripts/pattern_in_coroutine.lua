-- The match hangs in a coroutine.
-- ends: LuaTimeout
-- weakest: kill

coroutine.wrap(function() return ('a'):rep(40):find(('.-'):rep(20) .. 'b') end)()
