-- Constructors and raw memory in the module `osthread`.

local o = require('osthread')
for name in ('OSThread Channel SharedTable SharedBuffer Lock Event library RunLuaThread'):gmatch('%w+') do
  if o[name] ~= nil then return name end
end
