-- The module `osthread` as Lua code requires it. What it is given: functions of the core, metatables, and the ffi library,
-- which the code itself may not have.
local core = ...
local ffi = core.ffi

local functions = ffi.cast("struct { double (*now)(void); } *", core.functions)
local now = functions.now
-- Volatile: without it a loop that asks again and again would read the flag once.
local requested = ffi.cast("volatile bool *", core.requested)
local setmetatable, type, error = setmetatable, type, error
local array_mark, map_mark = core.array, core.map

local function mark(name, metatable)
  return function(t)
    if type(t) ~= "table" then error(name .. ": a table expected, not a " .. type(t), 2) end
    return setmetatable(t, metatable)
  end
end

return {
  -- The thread this code runs in; nil in a LuaState.
  self = core.self,
  -- Waits; a stop ends the wait.
  sleep = core.sleep,
  -- Whether somebody has asked this thread to end.
  stop_requested = function() return requested[0] end,
  -- Whether an error caught by pcall is a stop, which code should let pass after its cleanup.
  is_stopped = core.is_stopped,
  -- Seconds on a clock that only goes forward.
  now = function() return now() end,
  -- A nil that can stand in a table.
  null = core.null,
  -- Marks a table as a list, or as a mapping, where its keys leave it open.
  array = mark("array", array_mark),
  map = mark("map", map_mark),
  -- The library this state lives in, for FFI declarations of one's own.
  library = function() return ffi.load(core.library_path()) end,
}
