#include <dlfcn.h>
#include <poll.h>

#include <new>

#include "luv.hpp"
#include "registry_slots.hpp"
#include "run.hpp"

namespace osthread::luv {
namespace {

// What uv_version() is at least: from here on uv_backend_timeout() knows of handles that have just been
// started.
constexpr unsigned kVersion = 1 << 16 | 44 << 8;

using Callback = int (*)(lua_State* L, int arguments, int results, int flags);  // luv_CFpcall
using SetCallback = void (*)(lua_State* L, Callback callback);                  // luv_set_callback
using Version = unsigned (*)();                                                 // uv_version

struct Loop {
  unsigned callbacks = 0;  // how many have been called
  bool failed = false;     // one has raised what is at slot::kLoopError
  bool stopped = false;    // uv.stop
};

Loop& loop_of(lua_State* L) noexcept {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kLoop);
  auto* loop = static_cast<Loop*>(lua_touserdata(L, -1));
  lua_pop(L, 1);
  return *loop;
}

// libuv's frames are below: no error may pass them. The flags say what else luv would do about one.
int call_back(lua_State* L, int arguments, int results, int) {
  const int below = lua_gettop(L) - arguments - 1;
  Loop& loop = loop_of(L);
  ++loop.callbacks;
  const int status = lua_pcall(L, arguments, results, 0);
  if (status == 0) return lua_gettop(L) - below;
  if (!loop.failed) {
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kLoopError);
    loop.failed = true;
  }
  lua_settop(L, below);
  return -status;
}

lua_Integer ask(lua_State* L, int upvalue) {
  lua_pushvalue(L, lua_upvalueindex(upvalue));
  lua_call(L, 0, 1);
  const lua_Integer answer = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return answer;
}

// Upvalues: luv's run, backend_timeout, backend_fd. It owns nothing, as a stop is raised in it.
int run(lua_State* L) {
  enum Mode { kDefault, kOnce, kNoWait };
  constexpr const char* kModes[] = {"default", "once", "nowait", nullptr};
  const int mode = luaL_checkoption(L, 1, "default", kModes);
  Loop& loop = loop_of(L);
  for (;;) {
    const unsigned callbacks = loop.callbacks;
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushstring(L, kModes[kNoWait]);
    lua_call(L, 1, 1);
    if (loop.failed) {
      loop = {};
      lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kLoopError);
      return lua_error(L);
    }
    const bool alive = lua_toboolean(L, 1) != 0;
    if (!alive || loop.stopped || mode == kNoWait || (mode == kOnce && loop.callbacks != callbacks)) break;
    const auto timeout = static_cast<int>(ask(L, 2));
    pollfd backend{static_cast<int>(ask(L, 3)), POLLIN, 0};
    // A signal that comes just before it is lost; a stop is asked for again.
    if (timeout != 0) poll(&backend, 1, timeout);
    Run* current = Run::current();
    if (current && current->vm().state() == Vm::of(L).state()) current->check(L, true);
  }
  loop.stopped = false;
  return 1;
}

// Upvalue: luv's stop.
int stop(lua_State* L) {
  loop_of(L).stopped = true;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 0, 0);
  return 0;
}

// Upvalue: luaopen_luv.
int open(lua_State* L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kLoop);
  const bool opened = lua_isuserdata(L, -1);
  lua_settop(L, 1);
  if (!opened) {
    new (lua_newuserdata(L, sizeof(Loop))) Loop();
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kLoop);
  }
  for (const char* name : {"run", "backend_timeout", "backend_fd"}) lua_getfield(L, 1, name);
  lua_pushcclosure(L, run, 3);
  lua_setfield(L, 1, "run");
  lua_getfield(L, 1, "stop");
  lua_pushcclosure(L, stop, 1);
  lua_setfield(L, 1, "stop");
  return 1;
}

}  // namespace

bool adopt(lua_State* L, int index) {
  Dl_info module{};
  const lua_CFunction function = lua_tocfunction(L, index);
  if (!dladdr(reinterpret_cast<void*>(function), &module) || !module.dli_fname) return false;
  void* handle = dlopen(module.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (!handle) return false;
  const auto set_callback = reinterpret_cast<SetCallback>(dlsym(handle, "luv_set_callback"));
  const auto version = reinterpret_cast<Version>(dlsym(handle, "uv_version"));
  if (set_callback) dlopen(module.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
  dlclose(handle);
  if (!set_callback || !version || version() < kVersion) return set_callback != nullptr;
  set_callback(L, call_back);  // before it is opened
  lua_pushvalue(L, index);
  lua_pushcclosure(L, open, 1);
  lua_replace(L, index);
  return true;
}

}  // namespace osthread::luv
