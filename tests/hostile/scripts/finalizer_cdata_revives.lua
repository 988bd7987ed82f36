-- A finalizer of cdata that gives the cdata another one, and so on.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
local function revive(c) ffi.gc(c, revive) end
for i = 1, 100 do ffi.gc(ffi.new('int[1]'), revive) end
while true do collectgarbage() end
