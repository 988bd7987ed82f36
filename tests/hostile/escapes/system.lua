-- Files, commands and the environment.

local ways = {
  function() return io.open('/etc/passwd') end, function() return io.popen('true') end,
  function() return os.execute('true') end, function() return os.getenv('PATH') end,
  function() return os.remove('/nowhere') end, function() return os.rename('/nowhere', '/nowhere') end,
  function() return os.tmpname() end, function() return os.setlocale('C') end,
  function() return package.loadlib('libc.so.6', '*') end, function() return loadfile('/etc/passwd') end,
  function() return package.searchpath('x', '/etc/passwd') end, function() return debug.debug() end,
}
for i, way in ipairs(ways) do
  if pcall(way) then return 'way ' .. i end
end
