-- Yields across the host's functions, and resumes what must not be resumed.

local call, fail = ...
local o = require('osthread')
for _, f in ipairs {call, fail, print, require, o.sleep, o.self, o.now, load, error} do
  local co = coroutine.create(f)
  pcall(coroutine.resume, co, 0) pcall(coroutine.resume, co) pcall(coroutine.resume, co)
end
tostring = coroutine.yield
local co = coroutine.create(print)
local yielded = coroutine.resume(co, 'x') and coroutine.status(co) == 'suspended'
pcall(coroutine.resume, coroutine.running())
return yielded and 'yielded through print'
