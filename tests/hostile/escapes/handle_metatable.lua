-- Metatables and fields of handles: callables, errors, threads (which have methods, as threads are Lua's business, too).

local call, fail = ...
local _, failure = pcall(fail)
local self = require('osthread').self()
for i, handle in pairs {call, failure, self} do
  local m = getmetatable(handle)
  if type(m) == 'table' then return 'a metatable of ' .. tostring(handle) end
  local names = '__gc __index __newindex __class__ __globals__ __self__ __code__ __traceback__ __dict__ args native_handle '
  if handle ~= self then names = names .. 'kill terminate join result' end
  for name in names:gmatch('%S+') do
    local ok, got = pcall(function() return handle[name] end)
    if ok and got ~= nil then return name .. ' of ' .. tostring(handle) end
  end
end
