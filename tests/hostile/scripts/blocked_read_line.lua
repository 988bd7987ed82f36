-- Looks for the end of a line in a file of zeros: LuaJIT looks for ever, and takes no memory.
-- ends: LuaTimeout
-- weakest: kill

return io.open('/dev/zero'):read('*l')
