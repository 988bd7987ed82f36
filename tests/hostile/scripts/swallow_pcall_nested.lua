-- Each stop that is caught uncovers one more pcall.
-- ends: LuaTimeout
-- weakest: interrupt

local function f(n)
  if n > 0 then pcall(f, n - 1) end
  while true do pcall(function() while true do end end) end
end
f(150)
