-- Error values whose metamethods the host would call.

local heard
local m = {}
for _, event in ipairs {'__index', '__eq', '__lt', '__len', '__call', '__concat', '__metatable'} do
  m[event] = function() heard = event end
end
local call = ...
pcall(call, setmetatable({}, m))
pcall(error, setmetatable({}, m))
return heard
