-- Greedy repetitions that give back one character at a time.
-- ends: LuaTimeout
-- weakest: kill

return ('a'):rep(200):find(('a*'):rep(16) .. 'b')
