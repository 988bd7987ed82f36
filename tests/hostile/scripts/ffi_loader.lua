-- Loads a library over and over.
-- ends: LuaTimeout
-- weakest: interrupt

local ffi = require('ffi')
while true do local m = ffi.load('m') end
