-- gsub whose callback loops.
-- ends: LuaTimeout
-- weakest: interrupt

return (('x'):rep(100):gsub('.', function() while true do end end))
