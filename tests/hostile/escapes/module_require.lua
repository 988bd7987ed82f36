-- require of everything that LuaJIT has and this state has not.

local names = 'ffi jit jit.util jit.opt jit.profile jit.bc string.buffer table.new table.clear package io '
  .. 'package.loadlib core _LOADED _PRELOAD lfs socket'
for name in names:gmatch('%S+') do
  if pcall(require, name) then return name end
end
return require('os').execute ~= nil or require('debug').sethook ~= nil
