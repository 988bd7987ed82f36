// jit.profile, whose callback is called in the middle of the code that is profiled. LuaJIT ends the process
// if it raises; here its error goes where a finalizer's goes, and a stop ends the profile and then that code.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Setup step.
int install_profiler(lua_State* L);

}  // namespace osthread
