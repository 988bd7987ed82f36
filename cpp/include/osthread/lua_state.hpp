// A LuaState is a Lua state without a thread of its own: its code runs in the thread that calls it, under the
// same limits.
//
// Thread safety: one call at a time; a second thread's call waits its turn. interrupt() and statistics() may
// be called at any time.
//
//   osthread::LuaState state({.time_limit = 1s});
//   state.execute("function twice(x) return 2 * x end");
//   double four = state.call("twice", {2}).at(0).as<double>();
#pragma once

#include <memory>
#include <span>
#include <string>

#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/options.hpp"
#include "osthread/value.hpp"

namespace osthread {

struct StateStatistics {
  std::size_t memory = 0;  // bytes beyond its libraries
  std::size_t peak_memory = 0;
  std::size_t memory_limit = 0;                          // 0: none
  std::optional<std::chrono::nanoseconds> time_limit{};  // of each call
};

// Source as a function that can be handed to any state. LuaSyntaxError.
OSTHREAD_EXPORT Value compile_function(const Code& code);

class LuaState;
class StateCore;
namespace host {
// Of the bindings.
std::vector<Object*> objects_of(const LuaState& state);
Values call_looked_after(LuaState& state, std::string_view dotted_name, std::span<const Value> args);
}  // namespace host

class OSTHREAD_EXPORT LuaState {
 public:
  explicit LuaState(StateOptions options = {});
  ~LuaState();
  LuaState(const LuaState&) = delete;
  LuaState& operator=(const LuaState&) = delete;

  // Each runs to its end, or throws what the code raised; options.time_limit is for each call. After
  // LuaTimeout, LuaMemoryError or Stopped the state goes on working; after kill(), or a time limit that only
  // a kill could enforce (a pattern match without end, say), it is closed. std::logic_error once closed.
  Values execute(const Code& code, const Values& args = {});
  Values eval(const std::string& expression);
  Values call(const Value& function, const Values& args = {});
  Values call(const std::string& dotted_name, const Values& args = {});  // of a global function, "a.b"
  Values call(const char* dotted_name, const Values& args = {}) {
    return call(std::string(dotted_name), args);
  }

  Value get(const std::string& name);  // a global, copied; nil if absent
  void set(const std::string& name, const Value& value);

  void set_time_limit(std::optional<std::chrono::nanoseconds> limit);
  std::optional<std::chrono::nanoseconds> time_limit() const;

  bool interrupt();  // the call that runs now; whether there was one
  // The same for good, whatever it does: the state is discarded. std::runtime_error where it can't be had.
  bool kill();
  StateStatistics statistics() const;
  // The Lua stack, innermost first, of the last call's error, if that came from the host.
  std::vector<Frame> error_frames() const;
  // Runs the finalizers, within the time limit, and gives the memory back; waits for a call that runs.
  void close();
  bool closed() const;

 private:
  friend std::vector<Object*> host::objects_of(const LuaState& state);
  friend Values host::call_looked_after(LuaState& state, std::string_view dotted_name,
                                        std::span<const Value> args);
  std::unique_ptr<StateCore> core_;
};

}  // namespace osthread
