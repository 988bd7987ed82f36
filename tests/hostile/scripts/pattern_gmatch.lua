-- The match hangs inside an iterator.
-- ends: LuaTimeout
-- weakest: kill

for _ in ('a'):rep(40):gmatch(('.-'):rep(20) .. 'b') do end
