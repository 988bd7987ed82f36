-- 64-bit divisions that trap on the processor.

local zero, least, one = 0LL, -0x8000000000000000LL, -1LL
for _ = 1, 200 do
  local a, b, c, d = least / one, least % one, one / zero, one % zero
  local e, f = 1ULL / 0ULL, 1ULL % 0ULL
end
return false
