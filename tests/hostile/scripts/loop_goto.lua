-- Backward jumps without any loop statement.
-- ends: LuaTimeout
-- weakest: interrupt

local n = 0
::again::
n = n + 1
goto again
