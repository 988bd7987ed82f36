#include "profiler.hpp"

#include "finalizer_errors.hpp"
#include "run.hpp"

namespace osthread {
namespace {

constexpr const char* kName = "jit.profile";

// What LuaJIT calls: with a thread, the number of samples and the state of the VM. Upvalue: the callback.
int call_back(lua_State* L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int status = 0;
  {
    const Run::Aside aside;
    const Run::Open open;
    status = lua_pcall(L, lua_gettop(L) - 1, 0, 0);
    // The next sample could come before the code that is profiled gets anywhere.
    if (aside.stopped()) luaJIT_profile_stop(L);
  }
  return status == 0 ? 0 : report_profiler_error(L);
}

// Upvalue: the stock jit.profile.start.
int start(lua_State* L) {
  lua_settop(L, 2);
  if (lua_isfunction(L, 2)) lua_pushcclosure(L, call_back, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

// Upvalue: the stock loader.
int open(lua_State* L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_getfield(L, 1, "start");
  lua_pushcclosure(L, start, 1);
  lua_setfield(L, 1, "start");
  return 1;
}

}  // namespace

int install_profiler(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_getfield(L, -1, kName);
  lua_pushcclosure(L, open, 1);
  lua_setfield(L, -2, kName);
  return 0;
}

}  // namespace osthread
