-- Too many arguments and results for the host's functions.

local call = ...
for _, n in ipairs {200, 7000, 7990, 8000} do
  pcall(call, unpack({}, 1, n)) pcall(print, unpack({}, 1, n)) pcall(require, unpack({}, 1, n))
  pcall(load, unpack({}, 1, n)) pcall(error, unpack({}, 1, n))
end
return false
