-- Keys that are one key in Python.

local t = {[1] = 'x', [true] = 'y', ['1'] = 'z', [1.5] = 1}
local call = ...
pcall(call, t)
return false
