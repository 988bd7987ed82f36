-- The match hangs below a comparator of table.sort.
-- ends: LuaTimeout
-- weakest: kill

table.sort({3, 2, 1}, function(a, b) return ('a'):rep(40):find(('.-'):rep(20) .. 'b') end)
