-- A loop over boxed 64-bit integers.
-- ends: LuaTimeout
-- weakest: interrupt

local n = 1ULL
while true do n = n * 6364136223846793005ULL + 1ULL end
