// Functions and tables of the standard libraries, which cross by name. All of these may raise.
#pragma once

#include <string_view>

#include "lua_headers.hpp"

namespace osthread {

// The dotted name of the library function or table at `index`, pushed; or false and nothing pushed.
bool push_library_name(lua_State* L, int index);

// The other way round; raises where this state has no such thing.
void push_library(lua_State* L, std::string_view name);

}  // namespace osthread
