-- The error handler fails itself, and so does the handler of that.
-- ends: LuaTimeout
-- weakest: interrupt

local function bad() error(setmetatable({}, {__tostring = function() error('again') end})) end
while true do
  xpcall(bad, function() xpcall(bad, bad) error('worse') end)
end
