// Waits of Python's: without the GIL, and ended by what a signal handler raises. With the GIL held.
#pragma once

#include "bindings.hpp"
#include "gil.hpp"
#include "host.hpp"

namespace osthread::python {

// Of a timeout, 0 or more; nothing: it is None, for ever. TypeError, ValueError.
std::optional<double> seconds_of(const py::object& timeout);
std::optional<Clock::time_point> deadline_of(const py::object& timeout);

// Repeats attempt(), which runs without the GIL, until it is over (true) or out of time (false).
template <class Attempt>
bool wait_for(Attempt attempt) {
  stand_before_sigint();
  for (;;) {
    Wait wait;
    {
      const GilRelease release;
      wait = attempt();
    }
    if (wait == Wait::over) {
      drop_dead_references();
      return true;
    }
    if (wait == Wait::timed_out) return false;
    if (wait == Wait::stopped) std::rethrow_exception(host::stopped());
    look_at_signals();
  }
}

}  // namespace osthread::python
