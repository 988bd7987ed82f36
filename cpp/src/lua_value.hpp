// Values to and from a Lua stack.
//
// How errors go: everything here that may raise a Lua error runs as a protected body that owns nothing; what
// it builds belongs to a frame outside of that call. C++ exceptions are caught inside the body, by type: on
// some platforms `catch (...)` would catch Lua's errors too.
//
// Thread safety: on the state's thread.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "lua_headers.hpp"
#include "osthread/value.hpp"
#include "vm.hpp"

namespace osthread {

// Setup step of a Vm: metatables and bodies.
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

// Calls what is on top of the stack with `args`, in a protected call whose frames of an error go to
// vm.error_frames. The status; results or the error value are then on the stack, from `base + 1` on.
// `expression`: what is on top is a chunk that returns the function to call.
int call_protected(lua_State* L, const Values& args, bool expression);

// An exception of the host on its way through Lua: its error value.
class HostError final : public Object {
 public:
  explicit HostError(std::exception_ptr exception);
  const std::exception_ptr& exception() const noexcept { return exception_; }
  std::string describe() const override { return message_; }
  // Its message; and of a LuaError, another thread's for one, its value, traceback and thread.
  Value get(std::string_view name) const override;
  bool is_stop() const noexcept { return is_stop_; }  // a stop, or a time limit, that came through the host

 private:
  std::exception_ptr exception_;
  std::string message_;
  bool is_stop_ = false;
};

// Calls into C++ from Lua: runs `body`, which may throw but raises no Lua error, and pushes what it returns;
// its exception becomes a Lua error. To be the only statement of a lua_CFunction that owns nothing.
int guarded(lua_State* L, Values (*body)(lua_State* L));

}  // namespace osthread
