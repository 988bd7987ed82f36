-- Removes every hook and catches what comes all the same.
-- ends: LuaTimeout
-- weakest: interrupt

while true do pcall(debug.sethook) end
