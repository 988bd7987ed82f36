-- The __index of the module `osthread`, called by hand with a string in the module's place.

local m = getmetatable(require('osthread'))
if type(m) ~= 'table' then return false end
getmetatable('').__newindex = function() end
m.__index('x', 'y')
return 'ran'
