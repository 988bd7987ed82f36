-- Each step of the loop is a metamethod's.
-- ends: LuaTimeout
-- weakest: interrupt

local m = {}
m.__add = function(a) return a end
m.__unm = function(a) return a end
m.__len = function() return 1 end
local a = setmetatable({}, m)
while true do a = -(a + 1) end
