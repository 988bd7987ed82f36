-- Everything that can be reached from the globals, by fields, metatables and upvalues of modules.

local wanted = {io = true, ffi = true, loadlib = true, getregistry = true, sethook = true, getinfo = true,
  dump = true, execute = true, popen = true, getenv = true, setfenv = true, getfenv = true, newproxy = true,
  setmetatable_ = true, getupvalue = true, cdef = true, cast = true, data = true, library = true}
local seen, found = {}, nil
local function walk(value, path)
  if type(value) ~= 'table' or seen[value] then return end
  seen[value] = true
  for k, v in pairs(value) do
    if wanted[k] then found = path .. '.' .. tostring(k) end
    walk(v, path .. '.' .. tostring(k))
    walk(getmetatable(v), path .. '.' .. tostring(k) .. '<meta>')
  end
end
walk(_G, '_G')
walk(require('osthread'), 'osthread')
walk(getmetatable(require('osthread')), 'osthread<meta>')
walk(getmetatable(''), 'string<meta>')
return found
