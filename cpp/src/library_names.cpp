#include "library_names.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <unordered_set>

#include "fork.hpp"
#include "registry_slots.hpp"

namespace osthread {
namespace {

// Base functions first: what a script stores under a second name keeps its first.
constexpr const char* kNamed[] = {
    "_G",          "coroutine", "package", "string",  "table", "math",          "bit",
    "io",          "os",        "debug",   "jit",     "ffi",   "string.buffer", "table.new",
    "table.clear", "jit.util",  "jit.opt", "osthread"};

// Every name that a state has before a script runs in it. Collected once, in a state of its own: what scripts
// add to the libraries later has no name elsewhere.
class StandardNames {
 public:
  StandardNames() {
    const std::unique_ptr<lua_State, void (*)(lua_State*)> state(luaL_newstate(), lua_close);
    if (!state || lua_cpcall(state.get(), collect_into, &names_) != 0) throw std::bad_alloc();
  }

  bool has(const std::string& name) const { return names_.contains(name); }

 private:
  static int collect_into(lua_State* L) {
    auto& names = *static_cast<std::unordered_set<std::string>*>(lua_touserdata(L, 1));
    luaL_openlibs(L);
    for (const char* library : kNamed) {
      if (std::strcmp(library, "osthread") == 0) continue;
      lua_getglobal(L, "require");
      lua_pushstring(L, library);
      lua_call(L, 1, 1);
      names.emplace(library);
      if (!lua_istable(L, -1)) continue;
      for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        const std::string field = lua_tostring(L, -2);
        names.emplace(std::strcmp(library, "_G") == 0 ? field : library + ("." + field));
      }
    }
    return 0;
  }

  std::unordered_set<std::string> names_;
};

// Which of them are loaded, as a number: when that changes, the names are collected anew.
lua_Integer loaded_mask(lua_State* L) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_Integer mask = 0;
  lua_Integer bit = 1;
  for (const char* library : kNamed) {
    lua_getfield(L, -1, library);
    if (!lua_isnil(L, -1)) mask |= bit;
    lua_pop(L, 1);
    bit <<= 1;
  }
  lua_pop(L, 1);
  return mask;
}

// names[value on top] = name, unless it has one; pops the value.
void give_name(lua_State* L, int names, const char* library, const char* field) {
  lua_pushvalue(L, -1);
  lua_rawget(L, names);
  bool named = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (field && std::strcmp(library, "osthread") != 0)
    named = named || !per_process<StandardNames>().has(
                         std::strcmp(library, "_G") == 0 ? field : library + (std::string(".") + field));
  if (named) {
    lua_pop(L, 1);
    return;
  }
  if (!field)
    lua_pushstring(L, library);
  else if (std::strcmp(library, "_G") == 0)
    lua_pushstring(L, field);
  else
    lua_pushfstring(L, "%s.%s", library, field);
  lua_rawset(L, names);
}

void name_functions(lua_State* L, int names, const char* library) {
  const int table = lua_gettop(L);
  const bool ours = std::strcmp(library, "osthread") == 0;  // some of its functions are Lua's
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) && (ours || lua_iscfunction(L, -1)))
      give_name(L, names, library, lua_tostring(L, -2));
    else
      lua_pop(L, 1);
  }
}

constexpr int kMaskAt = 1;  // names[1]: the mask they were collected under

void collect(lua_State* L, lua_Integer mask) {
  lua_newtable(L);
  const int names = lua_gettop(L);
  lua_pushinteger(L, mask);
  lua_rawseti(L, names, kMaskAt);
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  for (const char* library : kNamed) {
    lua_getfield(L, names + 1, library);
    if (lua_istable(L, -1)) {
      lua_pushvalue(L, -1);
      give_name(L, names, library, nullptr);
      name_functions(L, names, library);
    } else if (lua_isfunction(L, -1)) {
      lua_pushvalue(L, -1);
      give_name(L, names, library, nullptr);
    }
    lua_settop(L, names + 1);
  }
  lua_settop(L, names);
  lua_pushvalue(L, names);
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kNames);
}

// Pushes the name of the value at `index` if the table of names on top has it.
bool look_up(lua_State* L, int index) {
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

// Pushes a module: loaded, or loaded now if it is one of LuaJIT's or ours that wait to be; else nil.
void push_module(lua_State* L, std::string_view name) {
  luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 16);
  lua_pushlstring(L, name.data(), name.size());
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    luaL_findtable(L, LUA_REGISTRYINDEX, "_PRELOAD", 4);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    bool known = false;
    for (const char* library : kNamed) known = known || name == library;
    if (known && lua_isfunction(L, -1)) {
      lua_pushvalue(L, -2);
      lua_call(L, 1, 1);
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, -5);  // _LOADED[name] = module
    } else {
      lua_pop(L, 1);
      lua_pushnil(L);
    }
  }
  lua_insert(L, -3);
  lua_pop(L, 2);
}

}  // namespace

bool push_library_name(lua_State* L, int index) {
  const int type = lua_type(L, index);
  if (type != LUA_TTABLE && type != LUA_TFUNCTION) return false;
  const lua_Integer mask = loaded_mask(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kNames);
  bool fresh = false;
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, kMaskAt);
    fresh = lua_tointeger(L, -1) == mask;
    lua_pop(L, 1);
  }
  if (!fresh) {
    lua_pop(L, 1);
    collect(L, mask);
  }
  if (look_up(L, index)) return true;
  lua_pop(L, 1);
  return false;
}

void push_library(lua_State* L, std::string_view name) {
  push_module(L, name);  // a library by its whole name: "string", "string.buffer"
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  const std::size_t dot = name.rfind('.');
  push_module(L, dot == std::string_view::npos ? "_G" : name.substr(0, dot));
  if (lua_istable(L, -1)) {
    const std::string_view field = dot == std::string_view::npos ? name : name.substr(dot + 1);
    lua_pushlstring(L, field.data(), field.size());
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);  // raw: a script's metatable is not asked
    if (lua_isnil(L, -1) && name.starts_with("osthread.")) {
      lua_pop(L, 1);
      lua_gettable(L, -2);  // the module makes some of its fields when they are asked for
    } else {
      lua_remove(L, -2);
    }
    lua_remove(L, -2);
  }
  if (!lua_isnil(L, -1)) return;
  lua_pushlstring(L, name.data(), name.size());
  luaL_error(L, "'%s' is not available in this state", lua_tostring(L, -1));
}

}  // namespace osthread
