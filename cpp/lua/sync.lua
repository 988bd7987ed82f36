-- Lock, Semaphore, Barrier and Event. Each class is a type of cdata of its own, with C functions as methods.
local osthread, core = ...
local ffi = core.ffi
local describe, istype = core.describe, ffi.istype
local vm = ffi.cast("void *", core.vm)

for name, methods in core.builtins.pairs(core.methods) do
  local Box = ffi.typeof "struct { void *const __handle; }"
  local is_same = ffi.cast(ffi.typeof("bool (*)($ *, $ *)", Box, Box), core.is_same)
  local drop = ffi.cast(ffi.typeof("void (*)(void *, $ *)", Box), core.drop)
  ffi.metatype(Box, {
    __index = methods,
    __eq = function(a, b) return istype(Box, a) and istype(Box, b) and is_same(a, b) end,
    __tostring = function(self) return describe(self) end,
    __gc = function(self) drop(vm, self) end,
  })
  core.classes[name] = function(handle) return Box(handle) end
  if core.constructors then osthread[name] = core.make[name] end
end
