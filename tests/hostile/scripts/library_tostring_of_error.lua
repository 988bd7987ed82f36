-- An error value whose __tostring loops when the host asks for its text.
-- ends: LuaTimeout or LuaError
-- weakest: interrupt

error(setmetatable({}, {__tostring = function() while true do end end}))
