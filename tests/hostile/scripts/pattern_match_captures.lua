-- Captures and back references without an end.
-- ends: LuaTimeout
-- weakest: kill

return ('a'):rep(60):match(('(.-)'):rep(12) .. ('%1'):rep(3) .. 'b')
