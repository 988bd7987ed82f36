-- SharedTables: reading plain values, and writing numbers that are there already, goes through FFI, so that it compiles; the rest
-- goes through C functions.
local osthread, core = ...
local ffi = core.ffi
local type, istype, ffi_string = core.builtins.type, ffi.istype, ffi.string

local Box = ffi.typeof "struct { void *const __handle; }"
local Message = ffi.typeof "struct { double number; uint32_t size; char text[4096]; }"
local function C(name, declaration, ...) return ffi.cast(ffi.typeof(declaration, ...), core[name]) end

local get_by_name = C("get_by_name", "int (*)($ *, const char *, size_t, $ *)", Box, Message)
local get_by_number = C("get_by_number", "int (*)($ *, double, $ *)", Box, Message)
local replace_by_name = C("replace_by_name", "bool (*)($ *, const char *, size_t, double)", Box)
local replace_by_number = C("replace_by_number", "bool (*)($ *, double, double)", Box)
local size = C("size", "uint32_t (*)($ *)", Box)
local is_same = C("is_same", "bool (*)($ *, $ *)", Box, Box)
local drop = C("drop", "void (*)(void *, $ *)", Box)
local vm = ffi.cast("void *", core.vm)
local message = ffi.cast(ffi.typeof("$ *", Message), core.inbox)
local text = message.text

local get_any, set_any, items = core.get, core.set, core.items
local make, describe, null = core.make, core.describe, core.null

-- What the quick functions answer, as lua_message.hpp has it.
local NUMBER, TEXT, TRUE, FALSE, NIL, NOTHING = 0, 1, 2, 3, 4, 5

local shared = { add = core.add, compare_and_set = core.compare_and_set, update = core.update, snapshot = core.snapshot }

-- The entry; nil if there is none, osthread.null for a nil.
function shared:get(key)
  local kind
  if istype(Box, self) then
    if type(key) == "string" then
      kind = get_by_name(self, key, #key, message)
    elseif type(key) == "number" then
      kind = get_by_number(self, key, message)
    end
    if kind == NUMBER then return message.number end
    if kind == TEXT then return ffi_string(text, message.size) end
    if kind == TRUE then return true end
    if kind == FALSE then return false end
    if kind == NIL then return null end
    if kind == NOTHING then return nil end
  end
  local value, found = get_any(self, key)
  if found and value == nil then return null end
  return value
end

-- nil erases the entry.
function shared:set(key, value)
  if type(value) == "number" and istype(Box, self) then
    if type(key) == "string" then
      if replace_by_name(self, key, #key, value) then return end
    elseif type(key) == "number" then
      if replace_by_number(self, key, value) then return end
    end
  end
  set_any(self, key, value)
end

-- for key, value in s:pairs(): the entries as they are now.
function shared:pairs()
  local list, at = items(self), -1
  return function()
    at = at + 2
    return list[at], list[at + 1]
  end
end

local get, set = shared.get, shared.set
ffi.metatype(Box, {
  __index = function(self, key)
    local method = shared[key]
    if method ~= nil then return method end
    return get(self, key)
  end,
  __newindex = function(self, key, value) set(self, key, value) end,
  __len = function(self) return size(self) end,
  __eq = function(a, b) return istype(Box, a) and istype(Box, b) and is_same(a, b) end,
  __tostring = function(self) return describe(self) end,
  __gc = function(self) drop(vm, self) end,
})

core.classes.SharedTable = function(handle) return Box(handle) end
if core.constructors then
  function osthread.SharedTable(table) return make(table) end
end
