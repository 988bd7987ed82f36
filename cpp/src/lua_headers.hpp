// LuaJIT's C headers, for C++.
#pragma once

#include <lua.hpp>

namespace osthread {

inline constexpr int kCdataType = 10;  // what lua_type says of a cdata: LuaJIT's own, not in lua.h

}  // namespace osthread
