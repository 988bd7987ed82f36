#include "lua_module.hpp"

#include <atomic>
#include <cmath>
#include <iterator>
#include <string_view>

#include "blocking.hpp"
#include "deadline.hpp"
#include "ffi_library.hpp"
#include "lua_call.hpp"
#include "lua_cdata.hpp"
#include "lua_channel.hpp"
#include "lua_object.hpp"
#include "lua_shared_buffer.hpp"
#include "lua_shared_table.hpp"
#include "lua_sync.hpp"
#include "lua_thread.hpp"
#include "lua_wait.hpp"
#include "registry.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
#include "thread_core.hpp"
#include "thread_handle.hpp"
#include "vm.hpp"

namespace osthread {

namespace embedded {
extern const char kLuaModule_osthread[];
extern const std::size_t kLuaModule_osthread_size;
extern const char kLuaModule_channel[];
extern const std::size_t kLuaModule_channel_size;
extern const char kLuaModule_sync[];
extern const std::size_t kLuaModule_sync_size;
extern const char kLuaModule_shared_table[];
extern const std::size_t kLuaModule_shared_table_size;
extern const char kLuaModule_shared_buffer[];
extern const std::size_t kLuaModule_shared_buffer_size;
extern const char kLuaModule_thread[];
extern const std::size_t kLuaModule_thread_size;
}  // namespace embedded

namespace {

Wait sleep_once(Run& run, Clock::time_point deadline) noexcept {
  return Blocking(run.stop().waiter(), Blocking::Caller::lua, "sleep", nullptr, deadline).until([] {
    return false;
  });
}

int sleep(lua_State* L) {
  luaL_checknumber(L, 1);
  const Clock::time_point deadline = *deadline_at(L, 1, "sleep");
  Run& run = own_run(L);
  if (lua_tonumber(L, 1) == 0) {
    run.check(L, false);
    return 0;
  }
  for (;;) {
    if (sleep_once(run, deadline) == Wait::timed_out) return 0;
    if (must_give_up(L, run)) return 0;
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
  push_library_path(L);
  return 1;
}

// Whether the code itself has the library ffi.
bool may_use_ffi(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_getfield(L, -1, "ffi");
  const bool may = !lua_isnil(L, -1);
  lua_pop(L, 2);
  return may;
}

void push_module(lua_State* L);

// Runs an embedded file of the Lua half with the module and what it needs of the core, which is on top.
void run_half(lua_State* L, int module, const char* code, std::size_t size, const char* name) {
  if (luaL_loadbuffer(L, code, size, name) != 0) lua_error(L);
  lua_insert(L, -2);
  lua_pushvalue(L, module);
  lua_insert(L, -2);
  lua_call(L, 2, 0);
}

void set_pointer(lua_State* L, const char* name, const void* pointer) {
  lua_pushlightuserdata(L, const_cast<void*>(pointer));
  lua_setfield(L, -2, name);
}

// What every file of the Lua half gets.
void push_core(lua_State* L) {
  lua_createtable(L, 0, 8);
  cdata::push_ffi(L);
  lua_setfield(L, -2, "ffi");
  cdata::push_null(L);
  lua_setfield(L, -2, "null");
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kBuiltins);
  lua_setfield(L, -2, "builtins");
}

void push_functions(lua_State* L) {
  set_pointer(L, "functions", &kFunctions);
  if (!may_use_ffi(L)) return;
  lua_pushcfunction(L, library_path);
  lua_setfield(L, -2, "library_path");
}

// A file of the half that is Lua over FFI: run when one of the names that it gives the module, or has a class
// of boxes for, is first asked for, as a state needs few of them, and ffi alone takes a third of what an idle
// state holds.
struct Half {
  std::string_view names;  // between blanks
  void (*push_part)(lua_State*);
  const char* code;
  const std::size_t* size;
};

const Half kHalves[] = {
    {" now stop_requested null library ", push_functions, embedded::kLuaModule_osthread,
     &embedded::kLuaModule_osthread_size},
    {" Channel receive select ", push_channel_core, embedded::kLuaModule_channel,
     &embedded::kLuaModule_channel_size},
    {" Lock Semaphore Barrier Event ", push_sync_core, embedded::kLuaModule_sync,
     &embedded::kLuaModule_sync_size},
    {" SharedTable ", push_shared_table_core, embedded::kLuaModule_shared_table,
     &embedded::kLuaModule_shared_table_size},
    {" SharedBuffer ", push_shared_buffer_core, embedded::kLuaModule_shared_buffer,
     &embedded::kLuaModule_shared_buffer_size},
    {" OSThread with ", push_thread_core, embedded::kLuaModule_thread, &embedded::kLuaModule_thread_size},
};

void push_classes(lua_State* L);

// Runs the half that has the name at `index`, unless there is none or it has run.
void complete(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TSTRING) return;
  std::size_t length = 0;
  const char* const text = lua_tolstring(L, index, &length);
  const std::string_view name(text, length);
  Vm& vm = Vm::of(L);
  for (std::size_t i = 0; i < std::size(kHalves); ++i) {
    const Half& half = kHalves[i];
    const std::size_t at = half.names.find(name);
    if (at == std::string_view::npos || name.empty() || half.names[at - 1] != ' ' ||
        half.names[at + length] != ' ')
      continue;
    if ((vm.halves & 1u << i) != 0) return;
    const int top = lua_gettop(L);
    luaL_checkstack(L, 8, "no room to complete osthread");
    push_module(L);
    push_core(L);
    half.push_part(L);
    push_classes(L);
    lua_setfield(L, -2, "classes");
    lua_pushboolean(L, !vm.safe);
    lua_setfield(L, -2, "constructors");
    lua_pushboolean(L, may_use_ffi(L) && !vm.safe);
    lua_setfield(L, -2, "pointers");
    run_half(L, top + 1, half.code, *half.size, "=osthread");
    // Only now: a stop in the middle of it leaves a module that completes itself when it is next asked.
    vm.halves |= 1u << i;
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kNames);  // its functions have names now
    lua_settop(L, top);
    return;
  }
}

// __index of the module, and of the table of classes. Arguments: the table and the name.
int complete_and_get(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  complete(L, 2);
  lua_rawget(L, 1);
  return 1;
}

void push_classes(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kClasses);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  set_only_metamethod(L, "__index", complete_and_get);
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kClasses);
}

int make_classes(lua_State* L) {
  push_classes(L);
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

void push_module(lua_State* L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kModule);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 16);
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
  set_only_metamethod(L, "__index", complete_and_get);
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kModule);
}

int open_module(lua_State* L) {
  push_module(L);
  return 1;
}

}  // namespace

int install_module(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_pushcfunction(L, open_module);
  lua_setfield(L, -2, "osthread");
  lua_pushcfunction(L, make_classes);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kClasses);
  return 0;
}

}  // namespace osthread
