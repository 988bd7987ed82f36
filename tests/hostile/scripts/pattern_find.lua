-- A match that tries more ways than there is time.
-- ends: LuaTimeout
-- weakest: kill

return ('a'):rep(40):find(('.-'):rep(20) .. 'b')
