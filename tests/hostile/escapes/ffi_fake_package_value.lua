-- The same before the host gives a NULL or a large integer.

package = {preload = {ffi = true}, loaded = {}}
local call = ...
call('null')
call('large')
return type(require('ffi')) == 'table' and 'ffi'
