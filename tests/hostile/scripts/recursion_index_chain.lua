-- Tables that are each other's __index: more links than LuaJIT follows.
-- ends: LuaError
-- weakest: interrupt

local first = {}
local last = first
for _ = 1, 1e5 do last = setmetatable({}, {__index = last}) end
setmetatable(first, {__index = last})
return last.x
