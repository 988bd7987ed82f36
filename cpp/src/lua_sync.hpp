// Lock, Semaphore, Barrier and Event as Lua sees them: the C half of cpp/lua/sync.lua.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Puts what sync.lua needs of the core into the table on top.
void push_sync_core(lua_State* L);

}  // namespace osthread
