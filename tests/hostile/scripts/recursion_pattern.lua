-- A pattern that recurses deeper than LuaJIT allows, again and again.
-- ends: LuaTimeout
-- weakest: interrupt

local text, pattern = ('a'):rep(3e5), ('(a'):rep(31) .. (')'):rep(31)
while true do
  pcall(string.find, text, pattern)
  pcall(string.find, text, ('a?'):rep(2e5) .. 'b')
end
