-- load of what string.dump would give, if there is any.

local dumped = string.dump and string.dump(function() end) or '\27LJ\2\2\0'
return load(dumped) ~= nil or load(dumped, 'x', 'b') ~= nil or load(dumped, 'x', 'bt') ~= nil
