-- Finalizers that fail, for ever.
-- ends: LuaTimeout
-- weakest: interrupt

while true do
  getmetatable(newproxy(true)).__gc = function() error('finalizer') end
end
