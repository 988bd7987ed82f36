-- Reads lines of a file, which is opened for each round.
-- ends: LuaTimeout
-- weakest: interrupt

while true do for line in io.lines('/proc/self/status') do end end
