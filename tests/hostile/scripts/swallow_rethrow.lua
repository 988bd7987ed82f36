-- Catches the stop, keeps it, and throws what it has kept, at itself.
-- ends: LuaTimeout
-- weakest: interrupt

local kept
while true do
  local _, e = pcall(function() if kept then error(kept, 0) end while true do end end)
  kept = e
end
