-- Each round makes something whose finalizer works a little.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  getmetatable(newproxy(true)).__gc = function() for i = 1, 100 do end end
end
