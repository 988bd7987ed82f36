-- string.buffer encodes and decodes without an end.
-- ends: LuaTimeout
-- weakest: interrupt

local buffer = require('string.buffer')
local t = {}
for i = 1, 1000 do t[i] = {i, 'x', k = i} end
while true do t = buffer.decode(buffer.encode(t)) end
