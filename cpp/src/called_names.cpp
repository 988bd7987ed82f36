#include "called_names.hpp"

namespace osthread {
namespace {

int slot_of(std::size_t i) noexcept { return slot::kCalledNames + static_cast<int>(i); }

}  // namespace

bool CalledNames::push(lua_State* L, std::string_view name) const noexcept {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] != name) continue;
    lua_rawgeti(L, LUA_REGISTRYINDEX, slot_of(i));
    lua_rawget(L, LUA_GLOBALSINDEX);
    if (lua_isfunction(L, -1)) return true;
    lua_pop(L, 1);
    return false;
  }
  return false;
}

void CalledNames::keep(lua_State* L, std::string_view name) const {
  lua_pushlstring(L, name.data(), name.size());
  lua_rawseti(L, LUA_REGISTRYINDEX, slot_of(names_.size()));
}

}  // namespace osthread
