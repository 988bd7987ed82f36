-- Ends in `return pcall(f)`: a stop that is caught there leaves no instruction to stop at.
-- ends: LuaTimeout
-- weakest: interrupt

local function f() while true do end end
local function g() return pcall(f) end
local function h() return pcall(g) end
while true do h() end
