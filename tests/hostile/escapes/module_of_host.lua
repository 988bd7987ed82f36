-- Overwrites a module that the host gave, for those who require it later.

local own = require('own')
local ok = pcall(function() own.value = 'poisoned' end) or pcall(rawset, own, 'none', 1) and false
return ok and require('own').value == 'poisoned'
