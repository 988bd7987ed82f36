-- Channels: what is plain and quick goes through FFI, so that loops over channels compile; what waits, or carries anything but
-- numbers, booleans, nil and short strings, goes through C functions.
local osthread, core = ...
local ffi, builtins = core.ffi, core.builtins
local type, error, istype, ffi_string = builtins.type, builtins.error, ffi.istype, ffi.string

local Box = ffi.typeof "struct { void *const __handle; }"
local function C(name, declaration, ...) return ffi.cast(ffi.typeof(declaration, ...), core[name]) end

local send_number = C("send_number", "int (*)($ *, double, bool)", Box)
local send_plain = C("send_plain", "int (*)($ *, int, bool)", Box)
local send_text = C("send_text", "int (*)(void *, $ *, const char *, size_t, bool)", Box)
local size = C("size", "uint32_t (*)($ *)", Box)
local close = C("close", "bool (*)($ *)", Box)
local is_same = C("is_same", "bool (*)($ *, $ *)", Box, Box)
local drop = C("drop", "void (*)(void *, $ *)", Box)
local vm = ffi.cast("void *", core.vm)

local Message = ffi.typeof "struct { double number; uint32_t size; char text[4096]; }"
local message = ffi.cast(ffi.typeof("$ *", Message), core.inbox)
local text = message.text
local receive_quickly = C("receive_quickly", "int (*)($ *, $ *, bool)", Box, Message)

local send_slowly, receive_slowly = core.send_slowly, core.receive_slowly
local send_any, receive_any, select_any = core.try_send, core.try_receive, core.select
local make, describe, statistics = core.make, core.describe, core.statistics
local own_mailbox, null = core.mailbox, core.null

-- What the quick functions answer, as lua_channel.cpp has it.
local SENT, NOT_NOW = 0, 1
local NUMBER, TEXT, TRUE, FALSE, NIL, NOTHING = 0, 1, 2, 3, 4, 5

local channel = {}

-- FFI alone would take a nil, or any userdata, for a pointer to a box.
local function refuse(self, method)
  error(method .. ": a channel was wanted, not a " .. type(self) .. "; methods are called with a colon: ch:" .. method .. "()", 3)
end

-- true; or nil and "timeout" or "closed". Waits for room, `timeout` seconds at most (nil: for ever).
function channel:send(value, timeout)
  if not istype(Box, self) then refuse(self, "send") end
  local kind, sent = type(value), nil
  if kind == "number" then
    sent = send_number(self, value, timeout ~= 0)
  elseif kind == "string" then
    sent = send_text(vm, self, value, #value, timeout ~= 0)
  elseif kind == "boolean" then
    sent = send_plain(self, value and 1 or 0, timeout ~= 0)
  end
  if sent == SENT then return true end
  return send_slowly(self, value, timeout, sent == NOT_NOW)
end

-- true; or nil and "full" or "closed".
function channel:try_send(value)
  if not istype(Box, self) then refuse(self, "try_send") end
  if type(value) == "number" and send_number(self, value, false) == SENT then return true end
  return send_any(self, value)
end

-- The value (osthread.null for a nil); or nil and "timeout" or "closed".
function channel:receive(timeout)
  if not istype(Box, self) then refuse(self, "receive") end
  local kind = receive_quickly(self, message, timeout ~= 0)
  if kind == NUMBER then return message.number end
  if kind == TEXT then return ffi_string(text, message.size) end
  if kind == TRUE then return true end
  if kind == FALSE then return false end
  if kind == NIL then return null end
  return receive_slowly(self, timeout, kind == NOTHING)
end

-- The value; or nil and "empty" or "closed".
function channel:try_receive()
  if not istype(Box, self) then refuse(self, "try_receive") end
  local kind = receive_quickly(self, message, false)
  if kind == NUMBER then return message.number end
  if kind == TEXT then return ffi_string(text, message.size) end
  if kind == TRUE then return true end
  if kind == FALSE then return false end
  if kind == NIL then return null end
  return receive_any(self)
end

-- No more can be sent; what is there can still be received. Whether it was open.
function channel:close()
  if not istype(Box, self) then refuse(self, "close") end
  return close(self)
end

-- What it has carried and who waits: a table.
function channel:statistics() return statistics(self) end

local receive = channel.receive
ffi.metatype(Box, {
  __index = channel,
  __call = function(self) return receive(self) end,  -- for value in channel do ... end
  __len = function(self) return size(self) end,
  __eq = function(a, b)
    return istype(Box, a) and istype(Box, b) and is_same(a, b)
  end,
  __tostring = function(self) return describe(self) end,
  __gc = function(self) drop(vm, self) end,
})

core.classes.Channel = function(handle) return Box(handle) end

if core.constructors then
  function osthread.Channel(capacity) return make(capacity) end
end

-- The next message in this thread's mailbox, as channel:receive() has it.
local mailbox
function osthread.receive(timeout)
  mailbox = mailbox or own_mailbox()
  return receive(mailbox, timeout)
end

-- The first of the channels that has a value, and that value; or nil and "timeout" or "closed".
function osthread.select(...) return select_any(...) end
