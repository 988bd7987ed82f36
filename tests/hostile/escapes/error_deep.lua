-- An error value that is nested deep, and full of functions, coroutines and cdata.

local t = {print, coroutine.create(print), function() return t end, 1LL}
for _ = 1, 1e5 do t = {t, k = t} end
error(t)
