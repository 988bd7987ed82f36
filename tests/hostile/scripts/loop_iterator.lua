-- A for over an iterator that has no end.
-- ends: LuaTimeout
-- weakest: interrupt

local function forever(_, n) return n + 1 end
for n in forever, nil, 0 do end
