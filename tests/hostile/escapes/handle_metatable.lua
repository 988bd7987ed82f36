-- Metatables and fields of handles: callables, errors, threads.

local call, fail = ...
local _, failure = pcall(fail)
local self = require('osthread').self()
for i, handle in pairs {call, failure, self} do
  local m = getmetatable(handle)
  if type(m) == 'table' then return 'a metatable of ' .. tostring(handle) end
  local names = '__gc __index __class__ __globals__ __self__ __code__ __traceback__ __dict__ args kill '
    .. 'terminate join result native_handle'
  for name in names:gmatch('%S+') do
    local ok, got = pcall(function() return handle[name] end)
    if ok and got ~= nil then return name .. ' of ' .. tostring(handle) end
  end
end
