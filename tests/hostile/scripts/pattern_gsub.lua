-- The match hangs inside gsub.
-- ends: LuaTimeout
-- weakest: kill

return (('a'):rep(40):gsub(('.-'):rep(20) .. 'b', ''))
