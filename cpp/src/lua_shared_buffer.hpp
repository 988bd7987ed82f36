// SharedBuffers as Lua code sees them: cpp/lua/shared_buffer.lua on top of this.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Fills the table on top with what the Lua half needs. May raise.
void push_shared_buffer_core(lua_State* L);

}  // namespace osthread
