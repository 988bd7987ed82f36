-- Recursion through require.
-- ends: LuaError
-- weakest: kill

local n = 0
local function f()
  n = n + 1
  package.preload['m' .. n] = f
  return require('m' .. n)
end
return f()
