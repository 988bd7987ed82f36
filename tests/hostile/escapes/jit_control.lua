-- The compiler's controls.

if rawget(_G, 'jit') ~= nil then return 'jit' end
local ok, opt = pcall(require, 'jit.opt')
if not ok then return false end
opt.start('maxmcode=1048576', 'sizemcode=1048576', 'maxtrace=65535', 'hotloop=1')
return 'jit.opt.start'
