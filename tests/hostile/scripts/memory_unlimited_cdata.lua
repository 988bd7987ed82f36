-- Cdata in a table, as many as there is time for.
-- ends: LuaTimeout
-- weakest: interrupt

local new, t = require('ffi').new, {}
while true do t[#t + 1] = new('double[10]') end
