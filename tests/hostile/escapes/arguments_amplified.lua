-- The same as an argument.

local s, t = ('x'):rep(2^20), {}
for i = 1, 1000 do t[i] = s end
pcall((...), t)
return false
