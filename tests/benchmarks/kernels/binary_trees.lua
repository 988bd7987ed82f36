-- Builds and walks binary trees, up to depth N: allocation and the collector.
local N = ... or 17
local begin = os.clock()

local function build(depth)
  if depth == 0 then return {} end
  return { build(depth - 1), build(depth - 1) }
end

local function count(tree)
  if not tree[1] then return 1 end
  return 1 + count(tree[1]) + count(tree[2])
end

local long_lived = build(N)
local nodes = 0
for depth = 4, N, 2 do
  for _ = 1, 2 ^ (N - depth + 2) do nodes = nodes + count(build(depth)) end
end

return os.clock() - begin, nodes + count(long_lived)
