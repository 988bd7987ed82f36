-- The half of the module `osthread` that is Lua over FFI. It gets the module, to put its fields into, and what it needs of the
-- core: functions, and the ffi library, which the code that requires the module may not have.
local osthread, core = ...
local ffi = core.ffi

-- Calls, not reads of memory: what a call returns no compiled loop takes for unchanged.
local functions = ffi.cast("struct { double (*now)(void); bool (*stop_requested)(void); } *", core.functions)
local now, stop_requested = functions.now, functions.stop_requested

-- Seconds on a clock that only goes forward.
function osthread.now() return now() end

-- Whether somebody has asked this thread to end.
function osthread.stop_requested() return stop_requested() end

-- A nil that can stand in a table.
osthread.null = core.null

-- The library this state lives in, for FFI declarations of one's own; where the code may use ffi at all.
local library_path, load = core.library_path, ffi.load
if library_path then
  function osthread.library() return load(library_path()) end
end
