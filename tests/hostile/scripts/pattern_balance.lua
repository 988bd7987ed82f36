-- %b at each place of a text full of openings.
-- ends: LuaTimeout
-- weakest: kill

return ('('):rep(2^20):find('%b()')
