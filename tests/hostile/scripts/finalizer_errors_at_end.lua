-- A finalizer that fails at the state's end.
-- ends: finished
-- weakest: interrupt

getmetatable(newproxy(true)).__gc = function()
  error('finalizer')
end
