-- string.dump, by every name it could have.

for _, s in ipairs {string, getmetatable('').__index, require('string')} do
  if s.dump then return 'string.dump' end
end
return pcall(function() return ('').dump(print) end)
