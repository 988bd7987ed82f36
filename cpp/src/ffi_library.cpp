#include "ffi_library.hpp"

#include <cstring>

#include "shared_object.hpp"

namespace osthread {
namespace {

// Upvalue: the stock ffi.load.
int load(lua_State* L) {
  const int count = lua_gettop(L);
  const char* name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
  if (std::strcmp(name, "osthread") == 0 || std::strcmp(name, "lua51") == 0) {
    push_library_path(L);
    lua_replace(L, 1);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, 1);
  return 1;
}

// Upvalue: the stock loader.
int open(lua_State* L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  osthread_ffi_opened(L);
  return 1;
}

}  // namespace

void push_library_path(lua_State* L) {
  char path[4096] = "";
  {
    const std::string own = shared_object_path();
    std::strncpy(path, own.c_str(), sizeof path - 1);
  }
  lua_pushstring(L, path);
}

int install_ffi_library(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_getfield(L, -1, "ffi");
  lua_pushcclosure(L, open, 1);
  lua_setfield(L, -2, "ffi");
  return 0;
}

}  // namespace osthread

void osthread_ffi_opened(lua_State* L) {
  lua_getfield(L, -1, "load");
  if (lua_tocfunction(L, -1) == osthread::load) {
    lua_pop(L, 1);
    return;
  }
  lua_pushcclosure(L, osthread::load, 1);
  lua_setfield(L, -2, "load");
}
