-- Makes handles of itself, and asks them for things.
-- ends: LuaTimeout
-- weakest: interrupt

local osthread = require('osthread')
while true do
  local self = osthread.self()
  local text = tostring(self) .. self.name .. self.status
  self:is_alive()
end
