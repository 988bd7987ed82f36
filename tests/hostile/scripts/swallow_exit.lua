-- Catches os.exit, too, in case it gets that far.
-- ends: finished
-- weakest: interrupt

local function f() while true do pcall(os.exit, 7) end end
while true do coroutine.resume(coroutine.create(f)) end
