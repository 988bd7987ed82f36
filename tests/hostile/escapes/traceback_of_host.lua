-- What a traceback tells of the host.

local call, fail = ...
local text = ''
local _, e = xpcall(fail, function(e) return debug.traceback(tostring(e)) end)
text = text .. tostring(e) .. debug.traceback(coroutine.create(print), 'x', -5) .. debug.traceback('x', 1e9)
return text:find('%.py') and 'a path of the host: ' .. text
