-- The metatables of arrays and maps, which the host's code knows tables by.

local o = require('osthread')
local m = getmetatable(o.array {})
local heard
if type(m) == 'table' then
  m.__index = function() heard = 'index' end
  m.__newindex = function() heard = 'newindex' end
  m.__len = function() heard = 'len' return 1e9 end
  m.__pairs = m.__len
end
local call = ...
call(o.array {1, 2}, o.map {1})
return heard
