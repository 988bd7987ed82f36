// The body that reads values, for install_values to make a closure of.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

int read_body(lua_State* L);

}  // namespace osthread
