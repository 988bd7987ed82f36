-- The half of the module `osthread` that is Lua over FFI. It gets the module, to put its fields into, and what it needs of the
-- core: functions, the address of a flag, and the ffi library, which the code that requires the module may not have.
local osthread, core = ...
local ffi = core.ffi

-- Seconds on a clock that only goes forward.
local now = ffi.cast("struct { double (*now)(void); } *", core.functions).now
function osthread.now() return now() end

-- Whether somebody has asked this thread to end. Volatile: without it a loop that asks again and again would read it once.
local requested = ffi.cast("volatile bool *volatile *", core.requested)
function osthread.stop_requested() return requested[0][0] end

-- A nil that can stand in a table.
osthread.null = core.null

-- The library this state lives in, for FFI declarations of one's own; where the code may use ffi at all.
local library_path, load = core.library_path, ffi.load
if library_path then
  function osthread.library() return load(library_path()) end
end
