-- How many points of an N x N grid stay bounded for 50 steps.
local N = ... or 2600
local begin = os.clock()

local inside = 0
for y = 0, N - 1 do
  local ci = 2 * y / N - 1
  for x = 0, N - 1 do
    local cr = 2 * x / N - 1.5
    local zr, zi, zr2, zi2, steps = 0, 0, 0, 0, 0
    while steps < 50 and zr2 + zi2 <= 4 do
      zi = 2 * zr * zi + ci
      zr = zr2 - zi2 + cr
      zr2, zi2 = zr * zr, zi * zi
      steps = steps + 1
    end
    if steps == 50 then inside = inside + 1 end
  end
end

return os.clock() - begin, inside
