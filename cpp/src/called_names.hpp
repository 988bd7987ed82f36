// The names by which a state's global functions are called from outside, as strings of Lua: found again
// without making one, which may need memory and so a protected call.
//
// Invariant: the string of names_[i] is in the registry's slot kCalledNames + i.
//
// Thread safety: on the state's thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lua_headers.hpp"
#include "registry_slots.hpp"

namespace osthread {

class CalledNames {
 public:
  // Puts the global function of that name on the stack, if it is known and is one. Allocates and raises
  // nothing.
  bool push(lua_State* L, std::string_view name) const noexcept;

  // Whether there is room for one more; then how it is done: in a protected call, which may raise, and
  // afterwards.
  bool has_room() const noexcept { return names_.size() < kMost; }
  void keep(lua_State* L, std::string_view name) const;
  void note(std::string_view name) { names_.emplace_back(name); }

 private:
  static constexpr std::size_t kMost =  // they are compared one by one
      slot::kLastCalledName - slot::kCalledNames + 1;
  std::vector<std::string> names_;
};

}  // namespace osthread
