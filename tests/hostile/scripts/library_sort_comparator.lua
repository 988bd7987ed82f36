-- A comparator that loops.
-- ends: LuaTimeout
-- weakest: interrupt

table.sort({3, 2, 1}, function() while true do end end)
