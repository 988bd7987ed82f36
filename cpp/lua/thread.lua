-- OSThread: threads that Lua code starts, and those that it is given.
local osthread, core = ...
local ffi, builtins = core.ffi, core.builtins
local type, error, pcall, tonumber, istype = builtins.type, builtins.error, builtins.pcall, builtins.tonumber, ffi.istype

local Box = ffi.typeof "struct { void *const __handle; }"
local is_same = ffi.cast(ffi.typeof("bool (*)($ *, $ *)", Box, Box), core.is_same)
local drop = ffi.cast(ffi.typeof("void (*)(void *, $ *)", Box), core.drop)
local vm = ffi.cast("void *", core.vm)
local methods, field, describe = core.methods, core.field, core.describe
local leave, leave_by_error = core.leave, core.leave_by_error
local make, make_native = core.make, core.make_native

-- What those were begun with that have a start routine.
local begun = builtins.setmetatable({}, { __mode = "k" })

-- true; or nil and "timeout" or "closed": a message into its mailbox.
function methods:send(value, timeout)
  if not istype(Box, self) then error("send: an OSThread was wanted, not a " .. type(self) .. "; methods are called with a colon: t:send()", 2) end
  return self.mailbox:send(value, timeout)
end

ffi.metatype(Box, {
  __index = function(self, key)
    local method = methods[key]
    if method ~= nil then return method end
    local beginning = begun[self]
    if beginning and beginning[key] ~= nil then return beginning[key] end
    return field(self, key)
  end,
  __eq = function(a, b) return istype(Box, a) and istype(Box, b) and is_same(a, b) end,
  __tostring = function(self) return describe(self) end,
  __gc = function(self) drop(vm, self) end,
})
core.classes.OSThread = function(handle) return Box(handle) end

if not make then return end

-- As Win32 has it: CREATE_SUSPENDED.
local SUSPENDED = 4

local uintptr = ffi.typeof "uintptr_t"
local cast = ffi.cast

local function address(pointer) return tonumber(cast(uintptr, cast("void *", pointer))) end

local typeof, is_array = ffi.typeof, core.is_array

-- Whether a cdata is a pointer or a function: a cast would take the address of anything, a channel too.
local function is_pointer(cdata)
  return tonumber(cdata) == nil and not is_array(typeof(cdata)) and (pcall(cast, uintptr, cdata))
end

-- A start routine, its parameter and flags, as CreateThread takes them. RunLuaThread's code is copied before this returns, and its
-- thread is one like all others; of another routine nothing is known, so its thread can only be joined or detached.
local function begin(routine, parameter, flags)
  if flags == nil then flags = 0 end
  if type(flags) ~= "number" then error("OSThread: the flags must be a number, not a " .. type(flags), 3) end
  local suspended = flags % (2 * SUSPENDED) >= SUSPENDED
  local thread
  if address(routine) == address(core.run_lua_thread) then
    if parameter == nil then error("OSThread: there is no code to run", 3) end
    local code = parameter
    if type(code) ~= "string" then
      -- FFI would take a number, or an element of 64 bits, for an address.
      if type(code) ~= "cdata" or not (is_pointer(code) or is_array(typeof(code))) then
        error("OSThread: the code must be a string, or a pointer to one, not a " .. type(code), 3)
      end
      code = ffi.string(cast("const char *", code))
    end
    thread = make({ suspended = suspended }, code)
  else
    thread = make_native(address(routine), address(parameter), suspended)
  end
  begun[thread] = { ThreadRoutine = routine, Parameter = parameter, Flags = flags }
  return thread
end

-- A thread: OSThread(code or function, ...), or OSThread({name = value, ...}, code or function, ...).
function osthread.OSThread(first, ...)
  if make_native and type(first) == "cdata" and is_pointer(first) then return begin(first, ...) end
  return make(first, ...)
end

local function end_block(thread, worked, ...)
  if not worked then
    leave_by_error(thread)
    error((...), 0)
  end
  leave(thread)
  return ...
end

-- What f(thread, ...) returns. After it the thread's on_exit is applied, and an error of its own raised that nobody has fetched; after
-- an error of f's it is terminated.
function osthread.with(thread, f, ...)
  if not istype(Box, thread) then error("with: an OSThread was wanted, not a " .. type(thread), 2) end
  if f == nil then error("with: there is no function to call with the thread", 2) end
  return end_block(thread, pcall(f, thread, ...))
end
