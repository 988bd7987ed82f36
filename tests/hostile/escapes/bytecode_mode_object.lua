-- A mode that is not what it was when it was checked.

local mode = setmetatable({}, {__tostring = function() return 'b' end})
return pcall(load, '\27LJ', 'x', mode) and (load('\27LJ', 'x', mode)) ~= nil
