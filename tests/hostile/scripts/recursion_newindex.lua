-- __newindex that stores where it was asked to store.
-- ends: LuaError
-- weakest: interrupt

local t = setmetatable({}, {__newindex = function(t, k, v) t[k] = v return 1 end})
t.x = 1
