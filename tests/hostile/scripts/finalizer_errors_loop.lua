-- A finalizer whose error has a __tostring that loops.
-- ends: finished
-- weakest: interrupt

getmetatable(newproxy(true)).__gc = function()
  error(setmetatable({}, {__tostring = function() while true do end end}))
end
collectgarbage()
