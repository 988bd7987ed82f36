-- ipairs over whatever __index says, which is never nil.
-- ends: LuaTimeout
-- weakest: interrupt

local t = setmetatable({}, {__index = function(_, i) return i end})
local n = 0
while true do
  for i in ipairs(t) do n = n + i end
end
