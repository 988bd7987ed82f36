-- A library's field that the host asks for is made by __index.

local heard
local function listen(_, k) heard = k return function() return 'mine' end end
setmetatable(string, {__index = listen})
setmetatable(_G, {__index = listen})
local call = ...
pcall(call, 'function')
setmetatable(_G, nil)
return heard and 'was asked for ' .. heard
