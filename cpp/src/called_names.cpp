#include "called_names.hpp"

#include "registry_slots.hpp"

namespace osthread {

bool CalledNames::push(lua_State* L, std::string_view name) const noexcept {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] != name) continue;
    const int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kCalledNames);
    lua_rawgeti(L, -1, static_cast<int>(i + 1));
    lua_rawget(L, LUA_GLOBALSINDEX);
    lua_replace(L, top + 1);
    if (lua_isfunction(L, -1)) return true;
    lua_settop(L, top);
    return false;
  }
  return false;
}

void CalledNames::keep(lua_State* L, std::string_view name) const {
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kCalledNames);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_createtable(L, static_cast<int>(kMost), 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kCalledNames);
  }
  lua_pushlstring(L, name.data(), name.size());
  lua_rawseti(L, -2, static_cast<int>(names_.size() + 1));
  lua_pop(L, 1);
}

}  // namespace osthread
