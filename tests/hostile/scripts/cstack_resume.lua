-- Recursion through coroutine.resume.
-- ends: LuaError
-- weakest: kill

local function f()
  local ok, e = coroutine.resume(coroutine.create(f))
  if not ok then error(e, 0) end
end
return f()
