-- xpcall whose handler is the host's function, or a part of the module.

local call, fail = ...
local o = require('osthread')
for _, handler in ipairs {call, fail, o.self, o.is_stopped, print, require, load, os.exit and error} do
  local ok, got = xpcall(error, handler, 'x')
  if ok or type(got) == 'table' then return 'got ' .. tostring(got) end
end
