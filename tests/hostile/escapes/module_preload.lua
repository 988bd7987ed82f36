-- Modules put where require might look for them.

package = {preload = {evil = function() return 'evil' end}, loaded = {evil2 = 'evil'}, path = '?'}
_PRELOAD, _LOADED = package.preload, package.loaded
return pcall(require, 'evil') and 'preload' or pcall(require, 'evil2') and 'loaded'
