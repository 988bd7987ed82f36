// The errors of OSThread, one tree on top of std::runtime_error, the same as Python's:
//
//   LuaError                what a chunk raised: message, traceback, frames, value
//    +- LuaSyntaxError      the code does not compile: chunk, line
//    +- LuaMemoryError      memory_limit
//    +- LuaTimeout          time_limit: stage
//    +- Stopped             request_stop() or interrupt() ended it: stage
//        +- Killed          kill() ended it
//        +- Abandoned       it sits in foreign code that does not return
//   ConversionError         a value that can't cross, and its place
//   WaitTimeout             a wait in vain
//   TaskCancelled           a pool's task, before it began
//   BrokenPool              a pool whose setup has failed
//   ChannelClosed           nothing can be sent any more, or nothing is left to receive
//
// Thread safety: errors are values; a const one may be read from any thread.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "osthread/export.hpp"

namespace osthread {

class Value;  // the Lua error value, by pointer: this page knows no Lua

// One level of a Lua stack, innermost first in a list of them.
struct Frame {
  std::string source;  // the chunk's name, shortened as Lua does it
  int line = 0;        // 0 where Lua knows none (C functions)
  std::string name;    // of the function; empty where Lua knows none

  bool operator==(const Frame&) const = default;
};

struct ErrorDetails {
  std::string message;
  std::vector<Frame> frames;
  std::shared_ptr<const Value> value;  // null: nothing was raised (a syntax error's value is its message)
  std::string thread;                  // the OSThread's name; empty in a LuaState
};

class OSTHREAD_EXPORT LuaError : public std::runtime_error {
 public:
  explicit LuaError(ErrorDetails details);
  ~LuaError() override;
  LuaError(const LuaError&);
  LuaError& operator=(const LuaError&) = delete;

  const std::string& message() const noexcept { return details_.message; }
  const std::vector<Frame>& frames() const noexcept { return details_.frames; }
  const std::shared_ptr<const Value>& value() const noexcept { return details_.value; }
  const std::string& thread() const noexcept { return details_.thread; }
  // "stack traceback:" and a line for each frame, as Lua's debug.traceback writes it; empty without frames.
  std::string traceback() const;
  // What the chunk was being stopped for when this error, another one, came out of it; or null.
  const std::shared_ptr<const LuaError>& context() const noexcept { return context_; }
  void set_context(std::shared_ptr<const LuaError> context) noexcept { context_ = std::move(context); }

 private:
  ErrorDetails details_;
  std::shared_ptr<const LuaError> context_;
};

class OSTHREAD_EXPORT LuaSyntaxError : public LuaError {
 public:
  LuaSyntaxError(ErrorDetails details, std::string chunk, int line);
  ~LuaSyntaxError() override;
  LuaSyntaxError(const LuaSyntaxError&);
  const std::string& chunk() const noexcept { return chunk_; }
  int line() const noexcept { return line_; }

 private:
  std::string chunk_;
  int line_;
};

class OSTHREAD_EXPORT LuaMemoryError : public LuaError {
 public:
  using LuaError::LuaError;
  ~LuaMemoryError() override;
  LuaMemoryError(const LuaMemoryError&);
};

// Which of the ways to stop ended the chunk.
enum class StopStage { request, interrupt, kill };

class OSTHREAD_EXPORT LuaTimeout : public LuaError {
 public:
  LuaTimeout(ErrorDetails details, StopStage stage);
  ~LuaTimeout() override;
  LuaTimeout(const LuaTimeout&);
  StopStage stage() const noexcept { return stage_; }  // kill: only that could enforce the limit

 private:
  StopStage stage_;
};

class OSTHREAD_EXPORT Stopped : public LuaError {
 public:
  Stopped(ErrorDetails details, StopStage stage);
  ~Stopped() override;
  Stopped(const Stopped&);
  StopStage stage() const noexcept { return stage_; }

 private:
  StopStage stage_;
};

class OSTHREAD_EXPORT Killed : public Stopped {
 public:
  using Stopped::Stopped;
  ~Killed() override;
  Killed(const Killed&);
};

class OSTHREAD_EXPORT Abandoned : public Stopped {
 public:
  using Stopped::Stopped;
  ~Abandoned() override;
  Abandoned(const Abandoned&);
};

class OSTHREAD_EXPORT ConversionError : public std::runtime_error {
 public:
  // `path`: the place of the value, "args[2].callback"; `overflow`: a number that no Lua type holds.
  ConversionError(std::string path, const std::string& reason, bool overflow = false);
  ~ConversionError() override;
  ConversionError(const ConversionError&);
  const std::string& path() const noexcept { return path_; }
  bool overflow() const noexcept { return overflow_; }

 private:
  std::string path_;
  bool overflow_;
};

class OSTHREAD_EXPORT WaitTimeout : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~WaitTimeout() override;
  WaitTimeout(const WaitTimeout&);
};

class OSTHREAD_EXPORT TaskCancelled : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~TaskCancelled() override;
  TaskCancelled(const TaskCancelled&);
};

class OSTHREAD_EXPORT BrokenPool : public std::runtime_error {
 public:
  BrokenPool(const std::string& text, std::exception_ptr cause);
  ~BrokenPool() override;
  BrokenPool(const BrokenPool&);
  const std::exception_ptr& cause() const noexcept { return cause_; }  // what setup raised

 private:
  std::exception_ptr cause_;
};

class OSTHREAD_EXPORT ChannelClosed : public std::runtime_error {
 public:
  static constexpr const char* kSend = "the channel is closed: nothing can be sent";
  static constexpr const char* kReceive = "the channel is closed and empty";
  static constexpr const char* kSelect = "all channels are closed and empty";
  using std::runtime_error::runtime_error;
  ~ChannelClosed() override;
  ChannelClosed(const ChannelClosed&);
};

// For language bindings: an exception of the host's language on its way through Lua.
class OSTHREAD_EXPORT HostException : public std::runtime_error {
 public:
  // `is_stop`: it is one of ours, a stop or a time limit, that came through the host.
  HostException(const std::string& text, bool is_stop);
  ~HostException() override;
  HostException(const HostException&);
  bool is_stop() const noexcept { return is_stop_; }

 private:
  bool is_stop_;
};

// "stack traceback:" and its lines, or nothing.
OSTHREAD_EXPORT std::string format_traceback(const std::vector<Frame>& frames);

}  // namespace osthread
