-- The same, again and again, caught.
-- ends: LuaTimeout
-- weakest: kill

local text, pattern = ('a'):rep(40), ('.-'):rep(20) .. 'b'
while true do pcall(string.find, text, pattern) end
