-- A result whose conversion must not look for globals: __index of theirs loops.
-- ends: finished
-- weakest: kill

tostring = nil
setmetatable(_G, {__index = function() while true do end end})
return 1LL
