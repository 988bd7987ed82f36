-- C's stack, by the parser.

local pieces = {
  '(', '{', 'do ', 'function() ', 'a[', '-', 'not ', '1 ^ ', 'if x then ', 'while x do ', "'' .. ", 'f ',
}
for _, piece in ipairs(pieces) do
  pcall(load, 'return ' .. piece:rep(2^17))
  pcall(load, piece:rep(2^17))
end
return false
