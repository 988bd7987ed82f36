#include "lua_cdata.hpp"

#include <cstring>

#include "registry_slots.hpp"

namespace osthread::cdata {
namespace {

// Locals, so that no script can change what they mean later.
constexpr char kHelpers[] = R"lua(
local ffi, builtins = ...
local tostring = builtins.tostring
local istype, typeof = ffi.istype, ffi.typeof
local int64, uint64, pointer = typeof "int64_t", typeof "uint64_t", typeof "void *"
return {
  ffi,
  function(x)
    if istype(int64, x) then return 0 end
    if istype(uint64, x) then return 1 end
    if istype(pointer, x) and x == nil then return 2 end
    return 3
  end,
  function(x) return tostring(typeof(x)) end,
  function() return int64() end,
  function() return uint64() end,
  ffi.cast(pointer, nil),
}
)lua";

enum Helper { kFfi = 1, kClassify, kTypeName, kInt64, kUint64, kNull };

void load_ffi(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kFfi);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_getfield(L, -1, "ffi");
  if (lua_istable(L, -1)) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  // Opened once at most: a second luaopen_ffi would forget the types of the first. It registers itself as
  // loaded, which is right here: where the script may not have it, it was opened with the state.
  lua_pushcfunction(L, luaopen_ffi);
  lua_pushliteral(L, "ffi");
  lua_call(L, 1, 1);
  lua_remove(L, -2);
}

void push_helper(lua_State* L, Helper helper) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kCdata);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    if (luaL_loadbuffer(L, kHelpers, sizeof(kHelpers) - 1, "=(osthread)") != 0) lua_error(L);
    load_ffi(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBuiltins);
    lua_call(L, 2, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kCdata);
  }
  lua_rawgeti(L, -1, helper);
  lua_remove(L, -2);
}

void call_on(lua_State* L, Helper helper, int index) {
  lua_pushvalue(L, index);
  push_helper(L, helper);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
}

template <class T>
void push_boxed(lua_State* L, Helper helper, T integer) {
  push_helper(L, helper);
  lua_call(L, 0, 1);
  std::memcpy(const_cast<void*>(lua_topointer(L, -1)), &integer,
              sizeof integer);  // a fresh box nobody else has seen
}

template <class T>
T read_boxed(lua_State* L, int index) {
  T integer;
  std::memcpy(&integer, lua_topointer(L, index), sizeof integer);
  return integer;
}

}  // namespace

Kind classify(lua_State* L, int index) {
  call_on(L, kClassify, index);
  const auto kind = static_cast<Kind>(lua_tointeger(L, -1));
  lua_pop(L, 1);
  return kind;
}

std::int64_t read_int64(lua_State* L, int index) { return read_boxed<std::int64_t>(L, index); }
std::uint64_t read_uint64(lua_State* L, int index) { return read_boxed<std::uint64_t>(L, index); }
void push_type_name(lua_State* L, int index) { call_on(L, kTypeName, index); }
void push_int64(lua_State* L, std::int64_t integer) { push_boxed(L, kInt64, integer); }
void push_uint64(lua_State* L, std::uint64_t integer) { push_boxed(L, kUint64, integer); }
void push_null(lua_State* L) { push_helper(L, kNull); }
void push_ffi(lua_State* L) { push_helper(L, kFfi); }

}  // namespace osthread::cdata
