-- A result full of cycles and shared parts: a tree when it is written out.

local t = {}
for _ = 1, 40 do t = {t, t} end
t.self = t
return t
