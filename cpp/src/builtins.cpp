#include "builtins.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "fork.hpp"
#include "lua_call.hpp"
#include "luv.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
#include "shared_object.hpp"
#include "standard_output.hpp"
#include "waiter.hpp"

namespace osthread {
namespace {

// The run of this very state; not the one that a finalizer of another state interrupts.
Run* own_run(lua_State* L) noexcept {
  Run* run = Run::current();
  return run && run->state() == Vm::of(L).state() ? run : nullptr;
}

Values output_body(lua_State* L) {
  std::size_t size = 0;
  const char* bytes = lua_tolstring(L, -1, &size);
  (*static_cast<const Output*>(Vm::of(L).output))({bytes, size});
  return {};
}

int write_to_output(lua_State* L) { return guarded(L, output_body); }

// One call's bytes at a time go out, though the system takes long ones in pieces. Not a mutex: a stop ends
// the wait for it.
struct OutputTurn {
  std::atomic<bool> taken{false};
  Waiter free;
};

void take_turn(lua_State* L, OutputTurn& turn) {
  // Acquire and release: nothing of one call's writing is seen after another's has begun.
  while (turn.taken.exchange(true, std::memory_order_acquire)) {
    Run* run = own_run(L);
    if (run) run->listen(&turn.free);
    const Waiter::Ticket ticket = turn.free.ticket();
    const bool due = run && run->due_now(false) && !run->in_callback();
    if (!due && turn.taken.load(std::memory_order_relaxed)) turn.free.park(ticket, std::nullopt);
    if (run) run->listen(nullptr);
    if (due) run->check(L, false);
  }
}

void end_turn(OutputTurn& turn) noexcept {
  turn.taken.store(false, std::memory_order_release);
  turn.free.wake_one();
}

// Writes the string on top of the stack, all of it; owns nothing, as a stop may be raised while it waits.
void write_top(lua_State* L) {
  const auto* output = static_cast<const Output*>(Vm::of(L).output);
  if (output && *output) {
    write_to_output(L);
    return;
  }
  std::size_t size = 0;
  const char* bytes = lua_tolstring(L, -1, &size);
  auto& turn = per_process<OutputTurn>();
  take_turn(L, turn);
  int error = 0;
  while (size > 0) {
    const std::ptrdiff_t written = write_standard_output(bytes, size);
    if (written >= 0) {
      bytes += written;
      size -= static_cast<std::size_t>(written);
      continue;
    }
    if (errno != EINTR && errno != EAGAIN) {
      error = errno;
      break;
    }
    if (errno == EAGAIN) wait_for_standard_output();
    Run* run = own_run(L);
    if (!run || !run->due_now(false)) continue;
    end_turn(turn);
    run->check(L, false);
    take_turn(L, turn);
  }
  end_turn(turn);
  if (error != 0) luaL_error(L, "standard output: %s", std::strerror(error));
}

int print(lua_State* L) {
  const int count = lua_gettop(L);
  luaL_checkstack(L, 2 * count + 4, "too many values to print");
  lua_getglobal(L, "tostring");
  const int convert = count + 1;
  for (int i = 1; i <= count; ++i) {
    if (i > 1) lua_pushliteral(L, "\t");
    lua_pushvalue(L, convert);
    lua_pushvalue(L, i);
    {
      const Run::Open open;  // tostring may be anybody's
      lua_call(L, 1, 1);
    }
    if (!lua_isstring(L, -1)) return luaL_error(L, "'tostring' must return a string to 'print'");
  }
  lua_pushliteral(L, "\n");
  lua_concat(L, lua_gettop(L) - convert);
  write_top(L);
  return 0;
}

// Upvalues: the stock io.write, io.output, io.stdout. A file chosen by io.output(file) is written as always.
int io_write(lua_State* L) {
  const int count = lua_gettop(L);
  luaL_checkstack(L, count + 4, "too many values to write");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_call(L, 0, 1);
  const bool standard = lua_rawequal(L, -1, lua_upvalueindex(3));
  lua_pop(L, 1);
  if (!standard) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    return lua_gettop(L);
  }
  for (int i = 1; i <= count; ++i) luaL_checkstring(L, i);
  lua_concat(L, count);
  write_top(L);
  lua_pushboolean(L, 1);
  return 1;
}

int os_exit(lua_State* L) {
  lua_settop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kExitValue);
  Run* run = own_run(L);
  if (!run || run->finalizing()) return luaL_error(L, "os.exit: no chunk of this state is running");
  if (run->aside()) return luaL_error(L, "os.exit: not in a profiler's callback");
  run->exit(L);
}

// A hook of the script's own must not take the place of the one that stops it. Upvalue: the stock function.
int set_hook(lua_State* L) {
  const int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, LUA_MULTRET);
  Run::attend();
  return lua_gettop(L);
}

// For what a kill leaves behind. No memory: it is not told.
void note_c_module(Vm& vm, const char* name) noexcept {
  try {
    auto& names = vm.c_modules;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  } catch (const std::bad_alloc&) {
    return;
  }
}

// Upvalues: the stock loader (or package.loadlib), the package table, whether only the root of the name names
// the file.
int load_c_module(lua_State* L) {
  const int count = lua_gettop(L);
  const char* name = luaL_checkstring(L, 1);
  bool found = true;
  if (!lua_isnil(L, lua_upvalueindex(2))) {
    lua_getfield(L, lua_upvalueindex(2), "searchpath");
    const char* dot = lua_toboolean(L, lua_upvalueindex(3)) ? std::strchr(name, '.') : nullptr;
    lua_pushlstring(L, name, dot ? static_cast<std::size_t>(dot - name) : std::strlen(name));
    lua_getfield(L, lua_upvalueindex(2), "cpath");
    if (lua_isfunction(L, -3) && lua_isstring(L, -1)) {
      lua_call(L, 2, 1);
      found = lua_isstring(L, -1);
    }
    lua_settop(L, count);
  }
  if (found) {
    char reason[256] = "";
    {
      const std::string failure = promote_symbols();
      std::strncpy(reason, failure.c_str(), sizeof reason - 1);
    }
    if (*reason) return luaL_error(L, "the C module '%s' can't be loaded: %s", name, reason);
  }
  lua_pushvalue(L, 1);  // below the call, so that it lives as long
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 2);
  {
    const Run::Open open;
    lua_call(L, count, LUA_MULTRET);
  }
  if (lua_iscfunction(L, 2)) {
    Vm& vm = Vm::of(L);
    note_c_module(vm, name);
    if (luv::adopt(L, 2)) vm.shared = true;
  }
  return lua_gettop(L) - 1;
}

void wrap_loader(lua_State* L, int loaders, int index, bool root) {
  lua_rawgeti(L, loaders, index);
  lua_getglobal(L, "package");
  lua_pushboolean(L, root);
  lua_pushcclosure(L, load_c_module, 3);
  lua_rawseti(L, loaders, index);
}

// Upvalue: the registry's table of loaded modules.
int limited_require(lua_State* L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kModules);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  if (lua_isnil(L, -1))
    return luaL_error(L, "module '%s' not found: this state has only the modules it was given",
                      lua_tostring(L, 1));
  lua_pushvalue(L, 1);
  {
    const Run::Open open;  // the module's own code
    lua_call(L, 1, 1);
  }
  if (lua_isnil(L, -1)) lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, lua_upvalueindex(1));
  return 1;
}

}  // namespace

int install_builtins(lua_State* L) {
  lua_pushcfunction(L, print);
  lua_setglobal(L, "print");
  lua_getglobal(L, "io");
  const int io = lua_gettop(L);
  lua_getfield(L, io, "write");
  lua_getfield(L, io, "output");
  lua_getfield(L, io, "stdout");
  lua_pushcclosure(L, io_write, 3);
  lua_setfield(L, io, "write");
  lua_getglobal(L, "os");
  lua_pushcfunction(L, os_exit);
  lua_setfield(L, -2, "exit");
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "sethook");
  lua_pushcclosure(L, set_hook, 1);
  lua_setfield(L, -2, "sethook");
  lua_getglobal(L, "package");
  const int package = lua_gettop(L);
  lua_getfield(L, package, "loaders");
  wrap_loader(L, lua_gettop(L), 3, false);
  wrap_loader(L, lua_gettop(L), 4, true);
  lua_getfield(L, package, "loadlib");
  lua_pushnil(L);
  lua_pushboolean(L, 0);
  lua_pushcclosure(L, load_c_module, 3);
  lua_setfield(L, package, "loadlib");
  return 0;
}

void install_limited_require(lua_State* L) {
  lua_newtable(L);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  lua_getfield(L, -1, "osthread");
  lua_setfield(L, -3, "osthread");
  lua_pop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kModules);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_pushcclosure(L, limited_require, 1);
  lua_setglobal(L, "require");
}

void add_module(lua_State* L, const char* name) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kModules);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

}  // namespace osthread
