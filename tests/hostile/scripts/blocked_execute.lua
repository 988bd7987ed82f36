-- Waits for a command: C's system() starts its wait again after each signal.
-- ends: LuaTimeout
-- weakest: none

os.execute('sleep 0.5')
while true do end
