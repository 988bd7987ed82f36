// Calls from C++ into Lua and from Lua into C++, and how their errors cross.
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

// Setup step of a Vm: the error objects of stops, and bodies.
int install_calls(lua_State* L);

// Calls what is on top of the stack with `args`, in a protected call whose frames of an error go to
// vm.error_frames: push_handler() has put their handler below it. The status; results or the error value are
// then on the stack, from the function's place on. `expression`: what is on top is a chunk that returns the
// function to call.
void push_handler(lua_State* L) noexcept;
int call_protected(lua_State* L, std::span<const Value> args, bool expression);

// Gives the table or userdata on top a metatable that has this metamethod alone, and that nobody can get at.
void set_only_metamethod(lua_State* L, const char* event, lua_CFunction method);

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
