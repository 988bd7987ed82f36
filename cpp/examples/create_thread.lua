-- Lua code handed to a native thread as CreateThread has it: a start routine, its parameter, flags.
-- osthread run create_thread.lua
local ffi = require "ffi"
local OSThread = require("osthread").OSThread

ffi.cdef [[int RunLuaThread(void *s);]]
local lua = ffi.load("lua51")

local CREATE_SUSPENDED = 4

local function code(name)
  return ([[for i = 1, 3 do print("%s", i) end]]):format(name)
end

local first = code "first thread"
local one = OSThread(lua.RunLuaThread, ffi.cast("void *", first), 0)
local second = code "second thread"
local two = OSThread(lua.RunLuaThread, ffi.cast("void *", second), CREATE_SUSPENDED)

print("handles differ", one.Handle ~= two.Handle, "ids differ", one.ThreadId ~= two.ThreadId)
print("flags", one.Flags, two.Flags, "the second is", two.status)
one:join()
two:start()
two:join()
