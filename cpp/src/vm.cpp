#include "vm.hpp"

#include <atomic>
#include <iterator>
#include <new>
#include <random>
#include <stdexcept>
#include <string_view>

#include "fork.hpp"
#include "open_files.hpp"
#include "osthread/error.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
#include "state_end.h"

namespace osthread {
namespace {

struct Seeds {
  std::uint64_t base = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  std::atomic<std::uint64_t> states{0};
};

// LuaJIT starts every state with the same random sequence; parallel Monte Carlo must not repeat itself.
double next_seed() {
  auto& seeds = per_process<Seeds>();  // a fork's child does not go on with its parent's
  // splitmix64 (Steele, Lea and Flood 2014): neighbouring inputs give unrelated outputs.
  std::uint64_t z =
      seeds.base + 0x9e3779b97f4a7c15 * (1 + seeds.states.fetch_add(1, std::memory_order_relaxed));
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ (z >> 31)) >> 11);
}

struct Setup {
  Vm* vm;
  Vm::Environment environment;
  std::initializer_list<lua_CFunction> steps;
};

int set_up(lua_State* L) {
  auto* setup = static_cast<Setup*>(lua_touserdata(L, 1));
  for (int i = 1; i <= slot::kCount;
       ++i) {  // the registry's array part, so that later stores into it allocate nothing
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, i);
  }
  lua_pushlightuserdata(L, setup->vm);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kVm);
  // Every C function but LuaJIT's own goes through here. (A conversion that POSIX and Windows allow.)
  lua_pushlightuserdata(L, reinterpret_cast<void*>(&Run::enter_c_function));
  luaJIT_setmode(L, -1, LUAJIT_MODE_WRAPCFUNC | LUAJIT_MODE_ON);
  lua_pop(L, 1);
  lua_gc(L, LUA_GCSTOP, 0);
  lua_pushboolean(L, setup->environment == Vm::Environment::ignored);
  lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");  // luaopen_package looks for it
  luaL_openlibs(L);
  constexpr const char* kBuiltins[] = {"type",     "error", "pcall",       "tonumber",
                                       "tostring", "pairs", "setmetatable"};
  lua_createtable(L, 0, static_cast<int>(std::size(kBuiltins)));
  for (const char* const name : kBuiltins) {
    lua_getglobal(L, name);
    lua_setfield(L, -2, name);
  }
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kBuiltins);
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushnumber(L, next_seed());
  lua_call(L, 1, 0);
  lua_settop(L, 0);
  for (const lua_CFunction step : setup->steps) {
    lua_pushcfunction(L, step);
    lua_call(L, 0, 0);
  }
  lua_gc(L, LUA_GCRESTART, -1);
  return 0;
}

void remove_loaded(lua_State* L, const char* name) {
  lua_pushnil(L);
  lua_setglobal(L, name);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_pushnil(L);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void remove_preloaded(lua_State* L, std::initializer_list<const char*> names) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
  for (const char* name : names) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
  }
  lua_pop(L, 1);
}

void keep_fields(lua_State* L, const char* library, std::initializer_list<const char*> names) {
  lua_getglobal(L, library);
  lua_newtable(L);
  for (const char* name : names) {
    lua_getfield(L, -2, name);
    lua_setfield(L, -2, name);
  }
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, library);
  lua_pop(L, 1);
  lua_setglobal(L, library);
  lua_pop(L, 1);
}

void drop_fields(lua_State* L, const char* library, std::initializer_list<const char*> names) {
  lua_getglobal(L, library);
  for (const char* name : names) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
  }
  lua_pop(L, 1);
}

struct NamedLibrary {
  const char* name;
  std::uint32_t bit;
};
constexpr NamedLibrary kLibraries[] = {
    {"coroutine", Libraries::kCoroutine},
    {"package", Libraries::kPackage},
    {"string", Libraries::kString},
    {"table", Libraries::kTable},
    {"math", Libraries::kMath},
    {"bit", Libraries::kBit},
    {"io", Libraries::kIo},
    {"os", Libraries::kOs},
    {"debug", Libraries::kDebug},
    {"jit", Libraries::kJit},
    {"ffi", Libraries::kFfi},
};

// load without bytecode: what LuaJIT would run unchecked. It owns nothing: a reader function may be left.
int load_text(lua_State* L) {
  lua_settop(L, 4);
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  if (lua_isnil(L, 4)) lua_settop(L, 3);  // a nil given is not the same as none
  const int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  const Run::Open open;
  lua_call(L, count, LUA_MULTRET);
  return lua_gettop(L);
}

int count_garbage(lua_State* L) {
  const char* what = luaL_optstring(L, 1, "collect");
  if (std::string_view(what) != "count")
    return luaL_error(L, "collectgarbage('%s') is not available here", what);
  lua_pushnumber(L, lua_gc(L, LUA_GCCOUNT, 0) + lua_gc(L, LUA_GCCOUNTB, 0) / 1024.0);
  return 1;
}

int restrict_body(lua_State* L) {
  const Libraries libraries = *static_cast<const Libraries*>(lua_touserdata(L, 1));
  if (libraries.is_safe()) {
    for (const char* name :
         {"dofile", "loadfile", "loadstring", "newproxy", "getfenv", "setfenv", "gcinfo", "module"}) {
      lua_pushnil(L);
      lua_setglobal(L, name);
    }
    lua_getglobal(L, "load");
    lua_pushcclosure(L, load_text, 1);
    lua_setglobal(L, "load");
    lua_pushcfunction(L, count_garbage);
    lua_setglobal(L, "collectgarbage");
    drop_fields(L, "string", {"dump"});
    keep_fields(L, "os", {"clock", "date", "difftime", "time", "exit"});
    keep_fields(L, "debug", {"traceback"});
  }
  for (const NamedLibrary& library : kLibraries) {
    const bool partly =
        libraries.is_safe() && (library.bit == Libraries::kOs || library.bit == Libraries::kDebug);
    if (!libraries.has(library.bit) && !partly) remove_loaded(L, library.name);
  }
  if (!libraries.has(Libraries::kPackage)) {  // builtins puts a limited one in its place
    for (const char* name : {"require", "module"}) {
      lua_pushnil(L);
      lua_setglobal(L, name);
    }
  }
  if (!libraries.has(Libraries::kFfi)) {
    remove_preloaded(L, {"ffi"});
    // Now, and out of sight: LuaJIT's parser opens it at the first 64-bit literal and registers it as loaded.
    lua_pushcfunction(L, luaopen_ffi);
    lua_call(L, 0, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kFfi);
    remove_loaded(L, "ffi");
  }
  if (!libraries.has(Libraries::kJit)) {
    remove_preloaded(L, {"jit.profile", "jit.util"});
    remove_loaded(L, "jit.opt");
  }
  // Its buffers hand out raw pointers, which are as powerful as ffi.
  if (!libraries.has(Libraries::kString) || !libraries.has(Libraries::kFfi))
    remove_preloaded(L, {"string.buffer"});
  if (!libraries.has(Libraries::kTable)) remove_preloaded(L, {"table.new", "table.clear"});
  return 0;
}

}  // namespace

Libraries Libraries::of(const std::vector<std::string>& names) {
  if (names.size() == 1 && names[0] == "all") return all();
  if (names.size() == 1 && names[0] == "safe") return safe();
  return named(names);
}

Libraries Libraries::named(const std::vector<std::string>& names) {
  std::uint32_t bits = 0;
  for (const std::string& name : names) {
    std::uint32_t bit = 0;
    for (const NamedLibrary& library : kLibraries)
      if (name == library.name) bit = library.bit;
    if (name != "base" && bit == 0) {
      std::string known = "base";
      for (const NamedLibrary& library : kLibraries) known += std::string(", ") + library.name;
      throw std::invalid_argument("libraries: there is no '" + name + "'; there are " + known);
    }
    bits |= bit;
  }
  return Libraries(bits);
}

Vm::Vm(Environment environment, std::initializer_list<lua_CFunction> setup) : L_(quota_.new_state()) {
  if (!L_) throw std::bad_alloc();
  Setup context{this, environment, setup};
  if (lua_cpcall(L_, set_up, &context) != 0) {
    const bool memory = lua_type(L_, -1) != LUA_TSTRING || is_memory_error(0, lua_tostring(L_, -1));
    const std::string message = memory ? "" : lua_tostring(L_, -1);
    run_finalizers();
    discard();
    if (memory) throw std::bad_alloc();
    throw std::runtime_error("a Lua state could not be made: " + message);
  }
}

Vm::~Vm() {
  run_finalizers();
  discard();
}

void Vm::discard() noexcept {
  if (!L_) return;
  lua_State* const gone = L_;
  finalized_ = true;
  // A LuaJIT of the system runs the finalizers only now, and they may use the handles.
  const bool closes = !osthread_has_arena();
  if (closes) osthread_discard_state(gone, nullptr);
  keep();
  if (closes) return;
  quota_.free_large_blocks();
  osthread_discard_state(gone, quota_.arena());
}

void Vm::keep() noexcept {
  if (!L_) return;
  finalized_ = true;
  if (drop_handles) drop_handles(*this);
  open_files::discard(*this);
  L_ = nullptr;
}

Vm& Vm::of(lua_State* L) noexcept {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kVm);
  auto* vm = static_cast<Vm*>(lua_touserdata(L, -1));
  lua_pop(L, 1);
  return *vm;
}

bool Vm::is_memory_error(int status, std::string_view message) const noexcept {
  return status == LUA_ERRMEM || (quota_.exceeded() && (message.ends_with("not enough memory") ||
                                                        message.ends_with("error in error handling")));
}

void Vm::protect(lua_CFunction body, const void* context) {
  const int top = lua_gettop(L_);
  check(call(body, context), top);
}

int Vm::call(lua_CFunction body, const void* context) noexcept {
  quota_.reset_exceeded();
  return lua_cpcall(L_, body, const_cast<void*>(context));
}

void Vm::check(int status, int top) {
  if (status == 0) return;
  ErrorDetails details;
  if (lua_type(L_, -1) == LUA_TSTRING) details.message = lua_tostring(L_, -1);
  lua_settop(L_, top);
  if (is_memory_error(status, details.message)) throw LuaMemoryError(std::move(details));
  throw LuaError(std::move(details));
}

void Vm::restrict(Libraries libraries) {
  safe = libraries.is_safe();
  if (!libraries.is_all()) protect(restrict_body, &libraries);
}

void Vm::set_jit(bool on) {
  if (!luaJIT_setmode(L_, 0, LUAJIT_MODE_ENGINE | (on ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF)) && on)
    throw std::runtime_error("this LuaJIT has no compiler for this machine: jit=True can't be had");
}

void Vm::set_memory_limit(std::size_t bytes, std::shared_ptr<MemoryAccount> given_away) {
  quota_.set_limit(bytes);
  if (safe) quota_.count_given_away(std::move(given_away));
}

namespace {

int collect_body(lua_State* L) {
  const Run::Open open;  // finalizers run
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

}  // namespace

void Vm::collect_all() noexcept {
  quota_.lift();
  const int top = lua_gettop(L_);
  // An error is a finalizer's: it has ended that one, and the next collection goes on.
  if (lua_cpcall(L_, collect_body, nullptr) != 0) lua_settop(L_, top);
  quota_.restore();
}

void Vm::run_finalizers() noexcept {
  if (finalized_) return;
  finalized_ = true;
  osthread_run_finalizers(L_);
}

}  // namespace osthread
