-- Raw access to handles.

local call, fail = ...
local _, failure = pcall(fail)
for _, handle in pairs {call, failure, require('osthread').self()} do
  for _, f in ipairs {rawget, rawset, next, setmetatable, pairs, ipairs, unpack} do
    if pcall(f, handle, 'x', 'y') and f ~= ipairs then return tostring(handle) end
  end
end
