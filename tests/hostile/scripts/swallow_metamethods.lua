-- The stop comes in a metamethod, and is caught around it.
-- ends: LuaTimeout
-- weakest: interrupt

local m = {}
local function f() while true do end end
for event in ('index newindex add concat eq lt le call tostring'):gmatch('%w+') do m['__' .. event] = f end
local a, b = setmetatable({}, m), setmetatable({}, m)
local ways = {
  function() return a.x end, function() a.x = 1 end, function() return a + b end,
  function() return a .. b end, function() return a == b end, function() return a < b end,
  function() return a <= b end, function() a() end, function() return tostring(a) end,
}
while true do
  for _, way in ipairs(ways) do pcall(way) end
end
