-- The __index of the module, called with a table that hears what is stored in it.

local m = getmetatable(require('osthread'))
if type(m) ~= 'table' then return false end
local heard = {}
local spy = setmetatable({}, {__newindex = function(_, k, v) heard[k] = v end})
pcall(m.__index, spy, 'now')
for k, v in pairs(heard) do
  if type(v) == 'table' or k == 'library' then return k end
end
return false
