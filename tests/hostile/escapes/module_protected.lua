-- A host's table whose metatable is protected, marked as an array.

local guarded = require('own')
if pcall(setmetatable, guarded, {}) then return 'setmetatable' end
pcall(require('osthread').array, guarded)
guarded.written = true
return guarded.written and 'wrote into it'
