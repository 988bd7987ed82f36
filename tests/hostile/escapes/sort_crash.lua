-- Comparators that lie, fail, change the table, or yield.

local function numbers() local t = {} for i = 1, 500 do t[i] = (i * 7919) % 499 end return t end
local t = numbers()
pcall(table.sort, t, function() return true end)
pcall(table.sort, t, function() return math.random() < 0.5 end)
t = numbers()
pcall(table.sort, t, function(a, b) for i = 1, #t do t[i] = nil end return a and b and a < b end)
t = numbers()
pcall(table.sort, t, function(a, b) t[#t + 1] = 1 return a < b end)
coroutine.wrap(function() pcall(table.sort, numbers(), coroutine.yield) end)()
coroutine.wrap(function() pcall(string.gsub, 'xxx', 'x', coroutine.yield) end)()
coroutine.wrap(function() pcall(load, coroutine.yield) end)()
return false
