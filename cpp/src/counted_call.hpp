// A call of a C function that is counted for its time, whichever way it ends: an error of Lua's skips its
// caller's frame, and what C++ would do there is done or not, as the system has it.
//
// Thread safety: of one thread; a signal handler may read the count.
#pragma once

#include <atomic>

#include "lua_headers.hpp"

namespace osthread {

// Calls function(L) with the count one higher. Afterwards it is what it was before.
int call_counted(std::atomic<int>& count, lua_State* L, lua_CFunction function);

}  // namespace osthread
