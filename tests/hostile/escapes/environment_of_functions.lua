-- Environments of library functions, through coroutines and error handlers.

local found
for _, f in ipairs {getfenv, setfenv, debug.getfenv, debug.setfenv, debug.getregistry, debug.getupvalue} do
  found = found or (type(f) == 'function' and 'an environment function')
end
return found
