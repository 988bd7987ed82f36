-- Recursion through table.sort, each level in a coroutine of its own.
-- ends: LuaError
-- weakest: kill

local function f()
  table.sort({2, 1}, function() return coroutine.wrap(f)() end)
  return true
end
return f()
