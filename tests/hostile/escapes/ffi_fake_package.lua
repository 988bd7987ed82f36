-- A global `package` that says ffi is allowed here.

package = {preload = {ffi = true}, loaded = {}}
local null = require('osthread').null
return type(require('ffi')) == 'table' and 'ffi'
