// Values to and from a Lua stack.
//
// How errors go: everything here that may raise a Lua error runs as a protected body that owns nothing; what
// it builds belongs to a frame outside of that call. C++ exceptions are caught inside the body, by type: on
// some platforms `catch (...)` would catch Lua's errors too.
//
// Thread safety: on the state's thread.
#pragma once

#include <span>
#include <string_view>

#include "lua_headers.hpp"
#include "osthread/value.hpp"
#include "vm.hpp"

namespace osthread {

// Setup step of a Vm: marks, metatables and bodies.
int install_values(lua_State* L);

// Where values stand, for error messages: "args[2]" if indexed, else "value".
struct Place {
  const char* name;
  bool indexed = true;
  bool given_away =
      false;  // to be kept for others: it counts towards the state's memory_limit, if that does so
};

// The `count` values from stack index `first` on. Throws ConversionError, std::bad_alloc, LuaError.
Values read_values(lua_State* L, int first, int count, Place place);

// A string as read_values() makes it of one that is given away.
Value given_away(Vm& vm, std::string_view bytes);

// Pushes values; a Lua error if memory is short or a value can't be made here, which the caller lets pass (so
// it owns nothing). `values` must stay while this runs.
void push_values(lua_State* L, std::span<const Value> values);

}  // namespace osthread
