-- Times and formats that C's functions do not expect.

local formats = {'*t', '!*t', '%c', '!%c', '%', '%E', '%Ez', '%O', ('%c'):rep(1000), '%s%n', '\0%c'}
for _, time in ipairs {0, -1, 1e18, -1e18, 2 ^ 62, -2 ^ 62, 1e300, 0 / 0, 1 / 0} do
  for _, format in ipairs(formats) do
    pcall(os.date, format, time)
  end
end
for _, field in ipairs {'year', 'month', 'day', 'hour', 'min', 'sec', 'isdst'} do
  for _, value in ipairs {1e300, -1e300, 0 / 0, 'x', {}, 2 ^ 31, -2 ^ 31} do
    pcall(os.time, setmetatable({year = 2000, month = 1, day = 1, [field] = value}, nil))
  end
end
return false
