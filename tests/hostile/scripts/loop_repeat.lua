-- A repeat without an end.
-- ends: LuaTimeout
-- weakest: interrupt

repeat local x = 1 until x == 2
