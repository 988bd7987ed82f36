// How a state, or a thread with a state, is set up. Aggregates: name what you change, the rest has its
// default.
//
//   OSThread t("return ...", {1}, {.name = "worker", .memory_limit = 16 << 20});
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "osthread/channel.hpp"
#include "osthread/native_thread.hpp"
#include "osthread/value.hpp"

namespace osthread {

using std::chrono_literals::operator""ms;

// Where print and io.write go: a whole call at a time, on the Lua thread. Empty: the process's own standard
// output.
using OutputFunction = std::function<void(std::string_view)>;

struct StateOptions {
  std::chrono::nanoseconds grace = 100ms;  // for cleanup after an interrupt, and between terminate's steps
  std::optional<std::chrono::nanoseconds> time_limit{};  // then LuaTimeout; blocked time counts
  std::size_t memory_limit = 0;                  // bytes beyond the libraries, at least 64 KiB; 0: none
  std::vector<std::string> libraries = {"all"};  // {"all"}, {"safe"}, or names
  bool jit = true;                               // false: interpreted only
  std::vector<std::pair<std::string, Value>> globals{};        // set before the code runs
  std::vector<std::pair<std::string, std::string>> modules{};  // name and Lua source, for require
  std::optional<std::string> path{};                           // package.path; none: LuaJIT's
  std::optional<std::string> cpath{};                          // package.cpath; none: LuaJIT's
  OutputFunction output{};
  bool bytecode = false;  // whether precompiled code is taken
  // How many threads its code may have alive, those that they start included; none: any, or 0 if safe.
  std::optional<std::size_t> max_threads{};
};

// What leaving its scope does to a running thread.
enum class OnExit { join, terminate, detach };

struct ThreadOptions {
  std::string name{};        // empty: "OSThread-N"
  std::string chunk_name{};  // what tracebacks call the code; empty: its start
  bool suspended = false;    // does not run until start()
  OnExit on_exit = OnExit::join;
  std::chrono::nanoseconds grace = 100ms;
  std::optional<std::chrono::nanoseconds> time_limit{};
  std::size_t memory_limit = 0;
  std::vector<std::string> libraries = {"all"};
  bool jit = true;
  std::vector<std::pair<std::string, Value>> globals{};
  std::vector<std::pair<std::string, std::string>> modules{};
  std::optional<std::string> path{};
  std::optional<std::string> cpath{};
  OutputFunction output{};
  bool bytecode = false;
  std::optional<std::size_t> max_threads{};
  std::size_t stack_size = 0;  // bytes of the native thread; 0: the system's
  std::optional<Priority> priority{};
  std::vector<int> affinity{};  // CPU numbers; empty: all
  // Closed when the thread has ended, however it did; one named by several threads with the last of them.
  std::vector<Channel> closes{};
  // Gets this thread, as a handle, when it has ended. It never waits for room: what finds the channel full is
  // kept until there is some.
  std::optional<Channel> notify{};

  StateOptions state() const;
  NativeThreadOptions native() const;
};

// What is to be run: Lua source (a chunk, or one function expression), or a function that came out of a
// state.
class OSTHREAD_EXPORT Code {
 public:
  Code(const char* source) : source_(source) {}
  Code(std::string source, std::string chunk_name = {})
      : source_(std::move(source)), chunk_name_(std::move(chunk_name)) {}
  Code(Value function);  // ConversionError if it is none

  const std::string& source() const noexcept { return source_; }
  const std::string& chunk_name() const noexcept { return chunk_name_; }
  const Value& function() const noexcept { return function_; }  // nil: it is source
  Code named(const std::string& chunk_name) const;

 private:
  std::string source_;
  std::string chunk_name_;
  Value function_;
};

}  // namespace osthread
