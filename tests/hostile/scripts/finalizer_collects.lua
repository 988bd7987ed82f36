-- A finalizer that collects garbage while garbage is collected.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  getmetatable(newproxy(true)).__gc = function() collectgarbage() collectgarbage('step', 100) end
end
