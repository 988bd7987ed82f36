-- The metatable of all strings, which the host's code must not use, and no other state may see.

local m = getmetatable('')
m.__index = function() return function() return 'poisoned' end end
m.__add = function() return 'poisoned' end
m.__call = function() return 'poisoned' end
local call = ...
call('x', {y = 'z'})
return false
