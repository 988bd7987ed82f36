-- load with an environment of its own: what does the chunk see beyond it?

local f = load('return _G or io or ffi or debug', 'x', 't', {})
return f() ~= nil
