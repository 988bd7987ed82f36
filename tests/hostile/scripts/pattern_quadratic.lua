-- A long text and a harmless pattern: quadratic is enough.
-- ends: LuaTimeout
-- weakest: kill

return ('a'):rep(2^20):find('.-b')
