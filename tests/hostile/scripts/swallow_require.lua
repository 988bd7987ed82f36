-- The loop runs while a module is loaded, inside require.
-- ends: LuaTimeout
-- weakest: interrupt

package.preload.endless = function() while true do pcall(function() while true do end end) end end
while true do pcall(require, 'endless') end
