-- A finalizer of cdata that loops when it is collected.
-- ends: LuaTimeout
-- weakest: kill

local ffi = require('ffi')
ffi.gc(ffi.new('int[1]'), function() while true do end end)
collectgarbage()
