-- Formats, widths and texts at the edge of what string functions take.

local numbers = {0, -0, 1e308, -1e308, 2 ^ 63, 0 / 0, 1 / 0, 1LL, 1ULL, 1i}
for letter in ('diucxXoeEfgGaAqspn%'):gmatch('.') do
  for _, flags in ipairs {'', '99', '.99', '99.99', '-+ #099.99', '100', '.100', '*', '-', '0', '1$'} do
    for _, n in pairs(numbers) do pcall(string.format, '%' .. flags .. letter, n) end
    pcall(string.format, '%' .. flags .. letter, ('x'):rep(1000))
    pcall(string.format, '%' .. flags .. letter, {})
  end
end
for _, n in ipairs {-1, 0, 2 ^ 31, 2 ^ 32, 2 ^ 53, 1e300, 0 / 0} do
  pcall(string.rep, 'x', n) pcall(string.rep, '', n, '') pcall(string.sub, 'x', n, -n)
  pcall(string.byte, 'x', -n, n) pcall(string.char, n) pcall(string.find, 'x', 'x', n)
  pcall(string.format, '%c', n) pcall(table.concat, {}, '', n, n)
  pcall(table.remove, {}, n) pcall(table.move, {}, n, n, -n) pcall(unpack, {}, -n, n)
  pcall(select, n, 1) pcall(math.random, n, n) pcall(bit.lshift, 1, n) pcall(tostring, n)
end
return false
