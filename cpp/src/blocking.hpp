// One wait of the calling thread: for whatever it is, it ends with its event, its deadline, a stop of the Lua
// code that calls it, or a signal of the host. Everything in this library that blocks on somebody else's
// doing goes through here.
//
// Thread safety: it belongs to the thread that waits.
#pragma once

#include <exception>
#include <optional>

#include "deadline.hpp"
#include "run.hpp"
#include "wait_note.hpp"
#include "waiter.hpp"

namespace osthread {

// For a function that Lua calls and whose wait came to nothing, as that Lua code is being stopped.
std::exception_ptr stopped_in_wait();

// A wait of C++ code, which attempt() is: goes on when a signal of the host came, which is not its to answer.
template <class Attempt>
Wait persist(Attempt attempt) {
  for (;;) {
    const Wait wait = attempt();
    if (wait == Wait::stopped) std::rethrow_exception(stopped_in_wait());
    if (wait != Wait::interrupted) return wait;
  }
}

class Blocking {
 public:
  // Who waits decides what `interrupted` and `stopped` mean.
  enum class Caller {
    host,      // a function of the host's: a signal ends the wait, and so does a stop of Lua code around it
    outsider,  // the same, but it must have its answer whatever happens to that Lua code
    lua,       // a C function: `stopped` when its run has something to check(), after which it goes on
  };

  // `what`, a literal, and `on` are for statistics.
  Blocking(Waiter& waiter, Caller caller, const char* what, const void* on,
           std::optional<Clock::time_point> deadline) noexcept;
  ~Blocking();
  Blocking(const Blocking&) = delete;
  Blocking& operator=(const Blocking&) = delete;

  // Sleeps until over(), which it asks after every wake of the waiter.
  template <class Over>
  Wait until(Over over) noexcept {
    for (;;) {
      const Waiter::Ticket ticket = waiter_.ticket();
      if (over()) return Wait::over;
      const std::optional<Wait> end = park(ticket);
      if (end) return over() ? Wait::over : *end;
    }
  }

 private:
  std::optional<Wait> park(Waiter::Ticket ticket) noexcept;

  Waiter& waiter_;
  const Caller caller_;
  const std::optional<Clock::time_point> deadline_;
  Run* const run_;
  WaitNote* const note_;
};

}  // namespace osthread
