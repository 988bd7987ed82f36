-- The same while the host gives a NULL, which takes ffi.

local heard = {}
setmetatable(_G, {__index = function(_, k) heard[#heard + 1] = tostring(k) end})
local call = ...
call('null')
local null = require('osthread').null
setmetatable(_G, nil)
return #heard > 0 and table.concat(heard, ', ')
