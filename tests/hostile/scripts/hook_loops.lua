-- A hook of its own that never returns: LuaJIT calls no hook inside a hook.
-- ends: LuaTimeout
-- weakest: kill

debug.sethook(function() while true do end end, '', 1)
while true do end
