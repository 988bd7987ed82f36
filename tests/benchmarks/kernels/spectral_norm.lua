-- The spectral norm of the infinite matrix 1 / ((i + j) (i + j + 1) / 2 + i + 1), cut at N.
local N = ... or 2800
local begin = os.clock()

local function element(i, j)
  local sum = i + j - 1
  return 1 / (sum * (sum - 1) * 0.5 + i)
end

local function times(x, y)
  for i = 1, N do
    local sum = 0
    for j = 1, N do sum = sum + x[j] * element(i, j) end
    y[i] = sum
  end
end

local function times_transposed(x, y)
  for i = 1, N do
    local sum = 0
    for j = 1, N do sum = sum + x[j] * element(j, i) end
    y[i] = sum
  end
end

local u, v, t = {}, {}, {}
for i = 1, N do u[i] = 1 end
for _ = 1, 10 do
  times(u, t) times_transposed(t, v)
  times(v, t) times_transposed(t, u)
end

local uv, vv = 0, 0
for i = 1, N do
  uv = uv + u[i] * v[i]
  vv = vv + v[i] * v[i]
end

return os.clock() - begin, math.sqrt(uv / vv)
