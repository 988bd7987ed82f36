// LuaJIT's C headers, for C++.
#pragma once

#include <lua.hpp>
