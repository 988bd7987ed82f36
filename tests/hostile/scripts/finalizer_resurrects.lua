-- A finalizer that stores its object and makes the next, when it is collected.
-- ends: LuaTimeout
-- weakest: interrupt

local kept = {}
local function revive(u)
  kept[#kept % 100 + 1] = u
  getmetatable(newproxy(true)).__gc = revive
end
getmetatable(newproxy(true)).__gc = revive
while true do collectgarbage() end
