// Channels as Lua sees them: the C half of cpp/lua/channel.lua.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Puts what channel.lua needs of the core into the table on top.
void push_channel_core(lua_State* L);

}  // namespace osthread
