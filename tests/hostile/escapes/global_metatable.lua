-- A metatable of _G that hears what the host's code looks for in it.

local heard = {}
setmetatable(_G, {__index = function(_, k) heard[#heard + 1] = tostring(k) end,
  __newindex = function(_, k) heard[#heard + 1] = 'new ' .. tostring(k) end})
local call = ...
call({1}, 2 ^ 53, {})
require('osthread').now()
setmetatable(_G, nil)
return #heard > 0 and table.concat(heard, ', ')
