-- The stop's own error object: its metatable, and whether it says a lie later.

local kept
local _, e = pcall(function() error(require('osthread').is_stopped(1), 0) end)
for _, value in pairs {e, {}, 'x', 1, print, setmetatable({}, {__eq = function() return true end})} do
  if require('osthread').is_stopped(value) then return 'anything is a stop' end
end
