// Threads as Lua sees them, and starts them: the C half of cpp/lua/thread.lua.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Puts what thread.lua needs of the core into the table on top.
void push_thread_core(lua_State* L);
// Whether the code of this state may start threads at all.
bool may_start_threads(lua_State* L);

}  // namespace osthread
