// SharedTables as Lua sees them: the C half of cpp/lua/shared_table.lua.
#pragma once

#include "lua_headers.hpp"

namespace osthread {

// Puts what shared_table.lua needs of the core into the table on top.
void push_shared_table_core(lua_State* L);

}  // namespace osthread
