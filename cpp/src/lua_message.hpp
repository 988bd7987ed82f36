// How FFI functions hand plain values to compiled Lua code: a kind, and a place of the state for what goes
// with it.
#pragma once

#include <cstdint>

#include "lua_headers.hpp"
#include "osthread/value.hpp"

namespace osthread {

// One for each state and Lua half, read at once by whoever called.
struct Message {
  static constexpr std::size_t kMostText = 4096;
  double number;
  std::uint32_t size;
  char text[kMostText];
};

// The numbers are known to cpp/lua. kOther: a C function has to do it.
enum MessageKind : int { kNumber, kText, kTrue, kFalse, kNil, kNothing, kEnd, kOther };

// kOther if the value does not go this way.
MessageKind hand_over(const Value& value, Message& message) noexcept;

// A Message that the state keeps, as the field "inbox" of the table on top. May raise.
void push_inbox(lua_State* L);

}  // namespace osthread
