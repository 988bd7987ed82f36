-- Ends in `return pcall(f)`: the chunk has caught its stop, and that was its end.
-- ends: LuaTimeout or finished
-- weakest: interrupt

return (pcall(function() while true do end end))
