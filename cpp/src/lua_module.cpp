#include "lua_module.hpp"

#include <atomic>
#include <cmath>
#include <cstring>

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
#include "vm.hpp"

namespace osthread {

namespace embedded {
extern const char kLuaModule_osthread[];
extern const std::size_t kLuaModule_osthread_size;
}  // namespace embedded

namespace {

void note_waiting(const char* what, Clock::time_point since) noexcept {
  if (ThreadCore* core = registry::current()) core->note_waiting(what, since);
}

int sleep(lua_State* L) {
  const lua_Number seconds = luaL_checknumber(L, 1);
  if (!(seconds >= 0)) return luaL_error(L, "sleep: seconds must be 0 or more, not %f", seconds);
  Run* run = Run::current();
  if (!run || run->state() != Vm::of(L).state())
    return luaL_error(L, "sleep: no chunk of this state is running");
  const double most = 9e9;  // seconds that fit into the clock's nanoseconds
  const Clock::time_point deadline =
      deadline_after(std::chrono::nanoseconds(static_cast<std::int64_t>(std::fmin(seconds, most) * 1e9)));
  if (seconds == 0) {
    run->check(L, false);
    return 0;
  }
  Waiter& waiter = run->stop().waiter();
  const Clock::time_point begin = Clock::now();
  for (;;) {
    run->listen(&waiter);
    note_waiting("sleep", begin);
    const Waiter::Ticket ticket = waiter.ticket();
    const bool due = run->due_now(true);
    const bool over = !due && run->park(ticket, deadline) == Waiter::Outcome::timed_out;
    note_waiting(nullptr, begin);
    run->listen(nullptr);
    if (over) return 0;
    if (due) run->check(L, true);  // it may raise, so nothing is left open here
    if (run->in_callback() && run->stop_due()) return 0;
  }
}

double now() noexcept { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

int push_self(lua_State* L) {
  return guarded(L, [](lua_State* state) -> Values {
    ThreadCore* core = registry::current();
    // Not in a state of its own that a function of the host runs: what runs there is a guest of this thread.
    if (!core || !core->runs(Vm::of(state))) return {Value()};
    return {thread_value(core->shared_from_this())};
  });
}

// What the Lua half calls through FFI, so that its calls compile into traces.
bool stop_requested() noexcept {
  const Run* run = Run::current();
  return run && run->requested();
}

struct Functions {
  double (*now)();
  bool (*stop_requested)();
};
constexpr Functions kFunctions{now, stop_requested};

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

int library_path(lua_State* L) {
  char path[4096] = "";
  {
    const std::string own = shared_object_path();
    std::strncpy(path, own.c_str(), sizeof path - 1);
  }
  lua_pushstring(L, path);
  return 1;
}

// The half that is Lua over FFI, made when a field of it is first asked for: ffi alone takes a third of what
// an idle state holds. Arguments: the module and the field.
int complete(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (luaL_loadbuffer(L, embedded::kLuaModule_osthread, embedded::kLuaModule_osthread_size, "=osthread") != 0)
    return lua_error(L);
  lua_pushvalue(L, 1);
  lua_createtable(L, 0, 6);
  lua_pushlightuserdata(L, const_cast<Functions*>(&kFunctions));
  lua_setfield(L, -2, "functions");
  cdata::push_null(L);
  lua_setfield(L, -2, "null");
  cdata::push_ffi(L);
  lua_setfield(L, -2, "ffi");
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_getfield(L, -1, "ffi");
  const bool has_ffi = !lua_isnil(L, -1);  // whether the code itself may use it
  lua_pop(L, 2);
  if (has_ffi) {
    lua_pushcfunction(L, library_path);
    lua_setfield(L, -2, "library_path");
  }
  lua_call(L, 2, 0);
  // Only now: a stop in the middle of it leaves a module that completes itself when it is next asked.
  lua_pushnil(L);
  lua_setmetatable(L, 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kNames);  // its functions have names now
  lua_rawget(L, 1);
  return 1;
}

int mark(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (luaL_getmetafield(L, 1, "__metatable")) return luaL_error(L, "cannot change a protected metatable");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, 1);
  return 1;
}

int open_module(lua_State* L) {
  lua_createtable(L, 0, 12);
  const std::pair<const char*, lua_CFunction> functions[] = {
      {"sleep", sleep}, {"self", push_self}, {"is_stopped", is_stopped}};
  for (const auto& [name, function] : functions) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  }
  const std::pair<const char*, int> marks[] = {{"array", slot::kArray}, {"map", slot::kMap}};
  for (const auto& [name, metatable] : marks) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
    lua_pushcclosure(L, mark, 1);
    lua_setfield(L, -2, name);
  }
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, complete);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
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
