// Reads the stack of a lua_State, on its own thread.
#pragma once

#include <vector>

#include "lua_headers.hpp"
#include "osthread/error.hpp"

namespace osthread {

// The frames from `level` outwards, innermost first; at most 100, and of a deeper stack its two ends. Frames
// of this library's own C functions are left out. Raises no Lua error and allocates nothing in the state.
std::vector<Frame> collect_frames(lua_State* L, int level);

}  // namespace osthread
