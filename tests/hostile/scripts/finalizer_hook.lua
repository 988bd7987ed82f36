-- A finalizer that sets a hook which never returns.
-- ends: LuaTimeout
-- weakest: kill

getmetatable(newproxy(true)).__gc = function() debug.sethook(function() while true do end end, '', 1) end
collectgarbage()
while true do end
