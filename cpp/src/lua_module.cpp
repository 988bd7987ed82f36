#include "lua_module.hpp"

#include <atomic>
#include <cmath>

#include "deadline.hpp"
#include "lua_cdata.hpp"
#include "lua_object.hpp"
#include "lua_value.hpp"
#include "registry.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
#include "shared_object.hpp"
#include "thread_core.hpp"
#include "thread_handle.hpp"

namespace osthread {

namespace embedded {
extern const char kLuaModule_osthread[];
extern const std::size_t kLuaModule_osthread_size;
}  // namespace embedded

namespace {

void note_waiting(const char* what) noexcept {
  if (ThreadCore* core = registry::current()) core->note_waiting(what);
}

int sleep(lua_State* L) {
  const lua_Number seconds = luaL_checknumber(L, 1);
  if (!(seconds >= 0)) return luaL_error(L, "sleep: seconds must be 0 or more, not %s", lua_tostring(L, 1));
  Run* run = Run::current();
  if (!run) return luaL_error(L, "sleep: no chunk is running");
  const double most = 9e9;  // seconds that fit into the clock's nanoseconds
  const Clock::time_point deadline =
      deadline_after(std::chrono::nanoseconds(static_cast<std::int64_t>(std::fmin(seconds, most) * 1e9)));
  if (seconds == 0) {
    run->check(L, false);
    return 0;
  }
  note_waiting("sleep");
  for (;;) {
    const Waiter::Ticket ticket = run->stop().waiter().ticket();
    if (run->due_now(true)) {
      note_waiting(nullptr);
      run->check(L, true);
      note_waiting("sleep");
    }
    if (run->park(ticket, deadline) == Waiter::Outcome::timed_out) break;
  }
  note_waiting(nullptr);
  return 0;
}

double now() noexcept { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

int push_self(lua_State* L) {
  return guarded(L, [](lua_State*) -> Values {
    ThreadCore* core = registry::current();
    if (!core) return {Value()};
    return {thread_value(core->shared_from_this())};
  });
}

// What the Lua half calls through FFI, so that its calls compile into traces.
struct Functions {
  double (*now)();
};
constexpr Functions kFunctions{now};

int is_stopped(lua_State* L) {
  luaL_checkany(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kStop);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kExit);
  bool stopped = lua_rawequal(L, 1, -1) || lua_rawequal(L, 1, -2);
  if (!stopped)
    if (const auto* error = dynamic_cast<const HostError*>(object_at(L, 1))) stopped = error->is_stop();
  lua_pushboolean(L, stopped);
  return 1;
}

int library(lua_State* L) {
  {
    const std::string path = shared_object_path();
    lua_pushlstring(L, path.data(), path.size());
  }
  return 1;
}

int open_module(lua_State* L) {
  if (luaL_loadbuffer(L, embedded::kLuaModule_osthread, embedded::kLuaModule_osthread_size, "=osthread") != 0)
    return lua_error(L);
  lua_createtable(L, 0, 8);
  const std::pair<const char*, lua_CFunction> functions[] = {
      {"sleep", sleep}, {"self", push_self}, {"is_stopped", is_stopped}, {"library_path", library}};
  for (const auto& [name, function] : functions) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  }
  lua_pushlightuserdata(L, const_cast<Functions*>(&kFunctions));
  lua_setfield(L, -2, "functions");
  // A state runs in one thread from its first chunk to its last, or, in a LuaState, under the same Stop all
  // the time.
  Run* run = Run::current();
  if (!run) return luaL_error(L, "the module 'osthread' can be required only by code that runs");
  lua_pushlightuserdata(L, const_cast<std::atomic<bool>*>(&run->stop().requested_flag()));
  lua_setfield(L, -2, "requested");
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kArray);
  lua_setfield(L, -2, "array");
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kMap);
  lua_setfield(L, -2, "map");
  cdata::push_null(L);
  lua_setfield(L, -2, "null");
  cdata::push_ffi(L);
  lua_setfield(L, -2, "ffi");
  lua_call(L, 1, 1);
  return 1;
}

}  // namespace

int install_module(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_pushcfunction(L, open_module);
  lua_setfield(L, -2, "osthread");
  return 0;
}

}  // namespace osthread
