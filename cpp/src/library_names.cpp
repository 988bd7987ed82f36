#include "library_names.hpp"

#include <cstring>

#include "registry_slots.hpp"

namespace osthread {
namespace {

constexpr const char* kNamed[] = {
    "_G", "coroutine", "package", "string", "table", "math",          "bit",
    "io", "os",        "debug",   "jit",    "ffi",   "string.buffer", "osthread"};

void name_functions(lua_State* L, int names, const char* library) {
  const int table = lua_gettop(L);
  const bool ours = std::strcmp(library, "osthread") == 0;  // its functions are Lua's
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) && (ours || lua_iscfunction(L, -1))) {
      if (std::strcmp(library, "_G") == 0)
        lua_pushvalue(L, -2);
      else
        lua_pushfstring(L, "%s.%s", library, lua_tostring(L, -2));
      lua_rawset(L, names);
    } else {
      lua_pop(L, 1);
    }
  }
}

void build(lua_State* L) {
  lua_newtable(L);
  const int names = lua_gettop(L);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  for (const char* library : kNamed) {
    lua_getfield(L, names + 1, library);
    if (lua_istable(L, -1)) {
      lua_pushvalue(L, -1);
      lua_pushstring(L, library);
      lua_rawset(L, names);
      name_functions(L, names, library);
    }
    lua_settop(L, names + 1);
  }
  lua_settop(L, names);
  lua_pushvalue(L, names);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kNames);
}

}  // namespace

bool push_library_name(lua_State* L, int index) {
  const int type = lua_type(L, index);
  if (type != LUA_TTABLE && type != LUA_TFUNCTION) return false;
  lua_pushvalue(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kNames);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    build(L);
  }
  lua_insert(L, -2);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) return true;
  lua_pop(L, 1);
  return false;
}

void push_library(lua_State* L, std::string_view name) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_pushlstring(L, name.data(), name.size());
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);  // a library by its whole name: "string", "string.buffer"
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    const std::size_t dot = name.rfind('.');
    const std::string_view library = dot == std::string_view::npos ? "_G" : name.substr(0, dot);
    const std::string_view field = dot == std::string_view::npos ? name : name.substr(dot + 1);
    lua_pushlstring(L, library.data(), library.size());
    if (library == "osthread" || library == "ffi") {  // made when first asked for
      lua_getglobal(L, "require");
      lua_insert(L, -2);
      lua_call(L, 1, 1);
    } else {
      lua_rawget(L, -3);
    }
    if (lua_istable(L, -1)) {
      lua_pushlstring(L, field.data(), field.size());
      lua_rawget(L, -2);
      lua_remove(L, -2);
    }
  }
  if (lua_isnil(L, -1)) luaL_error(L, "'%s' is not available in this state", lua_tostring(L, -2));
  lua_remove(L, -2);
  lua_remove(L, -2);
}

}  // namespace osthread
