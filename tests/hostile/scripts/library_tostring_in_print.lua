-- print of a value whose __tostring loops.
-- ends: LuaTimeout
-- weakest: interrupt

print(setmetatable({}, {__tostring = function() while true do end end}))
