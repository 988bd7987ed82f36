-- Methods of a thread's handle, called on what is no thread.

local call, fail = ...
local _, failure = pcall(fail)
local self = require('osthread').self()
if self == nil then return false end
for _, name in ipairs {'interrupt', 'request_stop', 'is_alive'} do
  for _, other in pairs {call, failure, {}, 'x', 1, print, coroutine.create(print)} do
    if pcall(self[name], other) then return name .. ' of ' .. tostring(other) end
  end
end
