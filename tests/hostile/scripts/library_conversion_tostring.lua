-- An error value that can't be converted, and a tostring that must not be asked for its name.
-- ends: LuaError
-- weakest: kill

tostring = function() while true do end end
error(1i)
