-- Patterns that are not whole, and captures beyond the end.

local patterns = {
  '%', '[', '[^', '[%', '[a-', '%f', '%f[', '%b', '%bx', '(', ')', '()', '%1', '(%1)', '(()', '[]', '[]]',
  '[^]', '%g', '.-', '^*', '^', '$', ('('):rep(100), ('()'):rep(40), ('a?'):rep(1000), '[\0-\255]', '%z', '\0',
}
for _, pattern in ipairs(patterns) do
  for _, text in ipairs {'', 'x', '\0', ('a'):rep(100), ('()'):rep(50)} do
    pcall(string.find, text, pattern) pcall(string.match, text, pattern, 1e9)
    pcall(string.gsub, text, pattern, '%1%2%9') pcall(string.gsub, text, pattern, {})
    pcall(string.gmatch(text, pattern))
  end
end
return false
