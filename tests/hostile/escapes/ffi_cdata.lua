-- What can be done with a cdata in hand, without ffi.

local null, large = require('osthread').null, 2LL ^ 62
local ways = {
  function() return null[0] end, function() null[0] = 1 end, function() return null + 1 end,
  function() return (null + 1)[0] end, function() return null() end, function() return null.x end,
  function() return large[0] end, function() return large() end, function() large[0] = 1 end,
  function() return large.x end, function() return #null end, function() return -null end,
  function() return null .. 'x' end, function() return null < 1LL end,
  function() return setmetatable(null, {}) end,
}
for i, way in ipairs(ways) do
  local ok, got = pcall(way)
  if ok and type(got) ~= 'nil' and type(got) ~= 'boolean' then return 'way ' .. i .. ': ' .. tostring(got) end
end
local m = getmetatable(null)
return type(m) == 'table' and 'the metatable of cdata'
