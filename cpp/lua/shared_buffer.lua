-- SharedBuffers: elements are reached through FFI, so that loops over them compile. Each type of element, read-only or not, has a
-- class of its own, made when the first such buffer comes.
local osthread, core = ...
local ffi, builtins = core.ffi, core.builtins
local type, error, tonumber, tostring = builtins.type, builtins.error, builtins.tonumber, builtins.tostring
local istype, gc, new = ffi.istype, ffi.gc, ffi.new
local add_any, compare_and_set, notify, wait, shape, describe =
  core.add, core.compare_and_set, core.notify, core.wait, core.shape, core.describe
local vm = ffi.cast("void *", core.vm)

-- The fields of a BufferBox in lua_shared_buffer.cpp. The address is a number here: a pointer could be written through.
local BOX = "struct { void *const __handle; const intptr_t __address; const int32_t __near; const double __size; }"
local int, int64, uint64 = ffi.typeof "int32_t", ffi.typeof "int64_t", ffi.typeof "uint64_t"
local half_to_double = ffi.cast("double (*)(uint16_t)", core.half_to_double)
local double_to_half = ffi.cast("uint16_t (*)(double)", core.double_to_half)

-- A number of the FFI as one of Lua's: compiled code stores a 64-bit integer as a float wrongly (lj_opt_fold.c of LuaJIT 2.1).
local NUMBER = "type(value) == 'cdata' and tonumber(value) or value"

-- Of each dtype: its type in C; how an element is read and written, where that is not as it is in memory. 64-bit integers are numbers
-- where these are exact, as everywhere.
local KINDS = {
  bool = { "bool" },
  int8 = { "int8_t" },
  int16 = { "int16_t" },
  int32 = { "int32_t" },
  int64 = { "int64_t", read = "if v >= -0x20000000000000LL and v <= 0x20000000000000LL then return tonumber(v) end return v" },
  uint8 = { "uint8_t" },
  uint16 = { "uint16_t" },
  uint32 = { "uint32_t" },
  uint64 = { "uint64_t", read = "if v <= 0x20000000000000ULL then return tonumber(v) end return v" },
  float16 = { "uint16_t", read = "return half_to_double(v)", write = "double_to_half(" .. NUMBER .. ")" },
  float32 = { "float", write = NUMBER },
  float64 = { "double", write = NUMBER },
  complex64 = { "complex float", from_table = true },
  complex128 = { "complex double", from_table = true },
}

-- Called by far(), that by a metamethod, that by the code whose mistake it is.
local function refuse_index(self, key)
  if self.__handle == nil then error("this SharedBuffer has been released", 4) end
  error("index " .. tostring(key) .. " is out of range: this buffer has " .. self.__size .. " elements, counted from 0", 4)
end

-- Whether a value may be an element; the FFI's own errors would name a line of this file.
local function refuse_value(value)
  error("a " .. type(value) .. " can't be an element of this SharedBuffer", 3)
end

-- One source for each class, as a function of several classes would not be compiled for any of them. Between the check of the index
-- and the access nothing is made: a collection may begin where something is, and a finalizer release the buffer. (Compiled code may
-- be left there, and then a collection goes on: but the pointer has been made by then, and release() looks for those.)
local function source_of(kind)
  return [[
local type, tonumber, cast, pointer, int, far, field, write_field, half_to_double, double_to_half, refuse_value, from_table = ...
return function(self, key)
  if type(key) == "number" then
    local i = tonumber(cast(int, key))
    local elements = cast(pointer, self.__address)
    if not (i == key and i >= 0 and i < self.__near) then i = far(self, key) end
    local v = elements[i]
    ]] .. (kind.read or "return v") .. [[

  end
  return field(self, key)
end, function(self, key, value)
  if type(key) == "number" then
    if type(value) ~= "number" and type(value) ~= "cdata" and type(value) ~= "boolean" then
      if type(value) ~= "table" or not from_table then refuse_value(value) end
    end
    local v = ]] .. (kind.write or "value") .. [[

    local i = tonumber(cast(int, key))
    local elements = cast(pointer, self.__address)
    if not (i == key and i >= 0 and i < self.__near) then i = far(self, key) end
    elements[i] = v
  else
    return write_field(self, key, value)
  end
end]]
end

-- An index that is not within 32 bits, if there is such an element.
local function far(self, key)
  if key >= 0 and key < self.__size and key % 1 == 0 then return key end
  refuse_index(self, key)
end

-- The number that a key is which is not one, if it is a 64-bit integer. Called in a function that a metamethod ends with.
local function index_of(key)
  if istype(int64, key) or istype(uint64, key) then return tonumber(key) end
  local what = type(key) == "string" and "'" .. key .. "'" or tostring(key)
  error("a SharedBuffer has elements, from index 0 on, and no field " .. what, 3)
end

local lingering = false -- something is to be looked at after the next collection

-- As often as it takes: what is collected then is not looked at any more.
local function look_again()
  gc(new "char[1]", function()
    lingering = false
    if core.look_for_references() then look_again() end
  end)
  lingering = true -- last: the others may fail for want of memory
end

local function refuse_readonly() error("this SharedBuffer is read-only", 2) end

local function make_class(dtype, declaration, readonly, itemsize)
  local kind = KINDS[dtype] or { declaration, from_table = true }
  local is_structure = KINDS[dtype] == nil
  local Box = ffi.typeof(BOX)
  local pointer = ffi.typeof((readonly and "const $ *" or "$ *"), ffi.typeof(kind[1]))
  local fill = ffi.cast(ffi.typeof("void (*)($ *)", Box), core.fill)
  local add_quickly = ffi.cast(ffi.typeof("bool (*)($ *, double, double, double *)", Box), core.add_quickly)
  local is_same = ffi.cast(ffi.typeof("bool (*)($ *, $ *)", Box, Box), core.is_same)
  local release = ffi.cast(ffi.typeof("bool (*)(void *, $ *)", Box), core.release)
  local drop = ffi.cast(ffi.typeof("void (*)(void *, $ *)", Box), core.drop)
  local sum = ffi.new "double[1]"
  local drop_structures = ffi.cast(ffi.typeof("bool (*)(void *, $ *)", Box), core.drop_structures)
  if is_structure and ffi.sizeof(ffi.typeof(declaration)) ~= itemsize then
    error("a SharedBuffer's elements have " .. itemsize .. " bytes, but its declaration " .. ffi.sizeof(ffi.typeof(declaration)), 0)
  end

  local methods = { compare_and_set = compare_and_set, notify = notify, wait = wait }

  -- The sum, atomically.
  function methods:add(index, x)
    if istype(Box, self) and type(index) == "number" and type(x) == "number" and add_quickly(self, index, x, sum) then return sum[0] end
    return add_any(self, index, x)
  end

  -- Gives the memory up, here: others that have it keep it. Using it is an error from here on. In a finalizer or a hook, which may run
  -- in the midst of an access, it does so when a collection has shown that there was none.
  function methods:release()
    if not istype(Box, self) then error("release: methods are called with a colon: b:release()", 2) end
    local lingers
    if is_structure then
      lingers = core.release_structures(self)
    else
      lingers = release(vm, self)
    end
    if lingers and not lingering then look_again() end
  end

  local read, write
  local function write_field(self, key, value) return write(self, index_of(key), value) end
  local function field(self, key)
    local method = methods[key]
    if method then return method end
    if key == "dtype" then return is_structure and declaration or dtype end
    if key == "readonly" then return readonly end
    if key == "shape" then return shape(self) end
    if key == "data" then
      if not core.pointers then return nil end
      if self.__handle == nil then error("this SharedBuffer has been released", 3) end
      return ffi.cast(pointer, self.__address)
    end
    return read(self, index_of(key))
  end

  read, write = core.compile(source_of(kind))(
    type, tonumber, ffi.cast, pointer, int, far, field, write_field, half_to_double, double_to_half, refuse_value, kind.from_table
  )
  if is_structure and not core.pointers then
    local function refuse() error("the elements of a structured buffer need the library ffi, which this code does not have", 3) end
    read, write = function(self, key) return type(key) == "number" and refuse() or field(self, key) end, function() refuse() end
  end
  ffi.metatype(Box, {
    __index = read,
    __newindex = readonly and refuse_readonly or write,
    __len = function(self) return self.__size end,
    __eq = function(a, b) return istype(Box, a) and istype(Box, b) and is_same(a, b) end,
    __tostring = function(self) return describe(self) end,
    -- Structures are references into the memory, which stays as long as there are any.
    __gc = is_structure and function(self)
      if drop_structures(vm, self) and not lingering then look_again() end
    end or function(self) drop(vm, self) end,
  })
  return function(handle)
    local box = Box(handle)
    fill(box)
    return box
  end
end

local classes = {}
core.classes.SharedBuffer = function(handle)
  local dtype, declaration, readonly, itemsize = core.describe_handle(handle)
  local name = dtype .. (readonly and " const " or " ") .. declaration
  local class = classes[name]
  if not class then
    class = make_class(dtype, declaration, readonly, itemsize)
    classes[name] = class
  end
  return class(handle)
end

if core.constructors then
  function osthread.SharedBuffer(dtype, shape_or_size) return core.make(dtype, shape_or_size) end
end
