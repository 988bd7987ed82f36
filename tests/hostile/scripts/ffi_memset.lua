-- Fills memory in C, long enough to be met there.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
local block = ffi.new('char[?]', 2^24)
while true do ffi.fill(block, 2^24, 1) end
