-- Removes the hook once and runs compiled code.
-- ends: LuaTimeout
-- weakest: interrupt

debug.sethook()
while true do end
