-- A finalizer of cdata that loops at the state's end.
-- ends: LuaTimeout
-- weakest: kill

local ffi = require('ffi')
kept = ffi.gc(ffi.new('int[1]'), function() while true do end end)
