// An OSThread is one native thread that runs one Lua chunk in a lua_State of its own, and the owner of both.
//
// Thread safety: everything may be called from any thread at once, but for moving and destroying, which
// belong to the owner. The lua_State is never visible to another thread.
//
//   osthread::OSThread worker("return ... * 2", {21}, {.name = "doubler"});
//   worker.join();
//   double twice = worker.result().at(0).as<double>();     // throws the chunk's LuaError
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "osthread/channel.hpp"
#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/lua_state.hpp"
#include "osthread/native_thread.hpp"
#include "osthread/options.hpp"
#include "osthread/shared_buffer.hpp"
#include "osthread/shared_table.hpp"
#include "osthread/sync.hpp"
#include "osthread/value.hpp"
#include "osthread/version.hpp"

namespace osthread {

// It changes when it is true, not before.
enum class Status { suspended, running, paused, finished, failed, stopped, killed, abandoned, lost };

// "running", ...
OSTHREAD_EXPORT const char* to_string(Status status) noexcept;

struct ThreadStatistics {
  double cpu_seconds = 0;   // of the native thread, so far
  double wall_seconds = 0;  // since the chunk started
  std::size_t memory = 0;   // bytes its state holds beyond its libraries
  std::size_t peak_memory = 0;
  std::size_t memory_limit = 0;  // 0: none
  std::optional<std::chrono::nanoseconds> time_limit{};
  int stops_asked = 0;         // request_stop() and interrupt(), time_limit included
  std::string waiting_for;     // "sleep", or empty: it does not wait
  double waiting_seconds = 0;  // for so long now
  // The C modules that a kill, or what else left the state for good, kept from giving back what is theirs.
  std::vector<std::string> leaked{};
};

class ThreadCore;  // what the owner and the native thread share

// What CreateThread and its like take, as the blog had it.
using StartRoutine = int (*)(void*);
enum class Flags : unsigned { none = 0, suspended = 4 };  // CREATE_SUSPENDED

class OSTHREAD_EXPORT OSThread {
 public:
  OSThread() noexcept;  // no thread
  // Compiles the code, then starts the thread (unless options.suspended). Throws LuaSyntaxError,
  // LuaMemoryError, std::invalid_argument (an option), ThreadCreationError, std::system_error (priority or
  // affinity refused).
  explicit OSThread(const Code& code, Values args = {}, ThreadOptions options = {});
  // A thread that runs a native routine. Of RunLuaThread the code is copied before this returns, and its
  // thread is as if it were made with that code; of any other nothing is known: it ends by itself alone, its
  // status is the result, and to interrupt or kill it is a std::logic_error.
  explicit OSThread(StartRoutine routine, void* parameter, Flags flags = Flags::none);
  // Applies options.on_exit: join (after request_stop(), as std::jthread does), terminate, or detach. One
  // that never started is discarded.
  ~OSThread();
  OSThread(OSThread&& other) noexcept;
  OSThread& operator=(OSThread&& other) noexcept;  // what was owned ends as by the destructor
  OSThread(const OSThread&) = delete;
  OSThread& operator=(const OSThread&) = delete;

  void start();  // of a suspended thread; std::logic_error if it ran already
  void join();   // waits for the end; does not raise what the chunk raised
  [[nodiscard]] bool join_for(std::chrono::nanoseconds timeout);  // whether it has ended; false is no error
  // Waits, then the chunk's results, or throws its error.
  const Values& result() const;
  std::exception_ptr exception() const;  // waits; null if the chunk returned

  Status status() const noexcept;
  bool joinable() const noexcept;  // owns a thread
  bool is_alive() const noexcept;  // started and not ended

  // The ways to stop; none waits, each returns whether it had something to do.
  bool request_stop() noexcept;
  bool interrupt();
  // At its next safe point the thread leaves the VM for good, and its state is discarded: memory, machine
  // code and open files are given back, nothing of Lua runs any more. Code in a function of the host or of a
  // C module ends when that returns. std::runtime_error where it can't be had (features().kill).
  bool kill();
  // Holds the chunk at its next instruction, compiled loops included, until resume(); a stop lets it go too.
  // Each returns whether it had something to do; status() says when it is held.
  bool pause();
  bool resume();
  // request_stop(), interrupt(), kill(), with `grace` (options.grace) between them; waits, and gives the
  // thread up (Status::abandoned) if it does not answer. The final status.
  Status terminate(std::optional<std::chrono::nanoseconds> grace = {});
  void detach();  // it runs to its end, kept by the library; ended with the process

  // A Channel that its Lua code receives from with osthread.receive(); closed when the thread has ended.
  Channel mailbox() const;
  void send(Value value) const { mailbox().send(std::move(value)); }

  std::vector<Frame> stack()
      const;  // where it is now, innermost first; empty if it does not run, or runs no Lua just now
  ThreadStatistics statistics() const;
  const std::string& name() const noexcept;
  const ThreadOptions& options() const noexcept;
  std::uintptr_t ident() const noexcept;
  std::uint64_t native_id() const;
  std::uintptr_t native_handle() const noexcept;  // pthread_t; on Windows the id, for OpenThread()

  // A call for when it has ended, on the thread that ends (at once if it has): must not throw.
  void on_end(std::function<void()> callback);

  const std::shared_ptr<ThreadCore>& core() const noexcept { return core_; }

 private:
  ThreadCore& get() const;
  void leave() noexcept;
  std::shared_ptr<ThreadCore> core_;
};

// Chooses the signal that reaches running threads, SIGURG by default (or what the environment's
// OSTHREAD_SIGNAL says): before the first OSThread or LuaState, std::logic_error after it. 0: none, so that
// code which neither allocates nor waits can't be interrupted, and nothing killed. std::invalid_argument if
// it can't be had; so do OSThread and LuaState throw where OSTHREAD_SIGNAL says what can't be had.
OSTHREAD_EXPORT void set_signal(int number);

// What this build can do.
struct Features {
  std::string luajit;  // its version
  bool interrupts_compiled_loops;
  bool kill;
  int signal;  // the signal's number; 0: none
  std::string platform;
};
OSTHREAD_EXPORT Features features();

}  // namespace osthread

// The blog's start routine, for any way to make a thread: makes an independent state, opens the libraries,
// runs the chunk (a zero-terminated string), closes the state. Lua's status: 0, or LUA_ERRRUN (2),
// LUA_ERRSYNTAX (3), LUA_ERRMEM (4).
extern "C" OSTHREAD_EXPORT int RunLuaThread(void* code);
