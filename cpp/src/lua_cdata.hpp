// The few kinds of LuaJIT cdata that have a meaning outside: 64-bit integers, and NULL for a nil inside a
// table. All of these may raise Lua errors and run inside protected bodies.
#pragma once

#include <cstdint>
#include <string>

#include "lua_headers.hpp"

namespace osthread::cdata {

enum class Kind { int64, uint64, null, other };

Kind classify(lua_State* L, int index);
std::int64_t read_int64(lua_State* L, int index);
std::uint64_t read_uint64(lua_State* L, int index);
// "ctype<...>", pushed.
void push_type_name(lua_State* L, int index);

void push_int64(lua_State* L, std::int64_t integer);
void push_uint64(lua_State* L, std::uint64_t integer);
void push_null(lua_State* L);
// The ffi library's table, also where the state's code has no `ffi`.
void push_ffi(lua_State* L);

}  // namespace osthread::cdata
