// One thread for the whole process that does what must happen at a time: deadlines, and asking again until a
// stop is answered. It starts with the first task.
//
// Invariant: a task runs on the watchdog's thread, one at a time, and blocks for nothing but short locks; it
// says when it wants to run again, or that it is done.
//
// Thread safety: everything may be called from any thread. After a fork the child gets a watchdog of its own,
// without the parent's tasks.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "osthread/native_thread.hpp"
#include "run.hpp"

namespace osthread {

class Watchdog {
 public:
  using Task = std::function<std::optional<Clock::time_point>()>;

  static Watchdog& instance();
  void schedule(Clock::time_point at, Task task);

 private:
  struct Entry {
    Clock::time_point at;
    std::uint64_t order;
    Task task;
  };
  // For a heap with the earliest on top.
  static bool later(const Entry& a, const Entry& b) noexcept {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  static int main(void* self);
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> heap_;
  std::uint64_t order_ = 0;
  bool started_ = false;
};

// Goes on delivering what has been asked, until it is over. If no thread can be made for the watchdog, it is
// delivered once more, here; whoever waits for the end goes on delivering it.
void keep_asking(const std::shared_ptr<Stop>& stop) noexcept;

// Interrupts now, and asks again until it is over. Whether there was something to stop that had not been
// asked before.
bool ask_to_stop(const std::shared_ptr<Stop>& stop) noexcept;

// The same for a kill and for a pause.
bool kill_now(const std::shared_ptr<Stop>& stop) noexcept;
bool pause_now(const std::shared_ptr<Stop>& stop) noexcept;

// Opens it for what this thread runs from here on; see Stop::open_here().
void open_here(const std::shared_ptr<Stop>& stop, bool looked_after) noexcept;

// Asks for the stop `limit` from now, unless it has ended by then; again until it is over. Throws what says
// that no thread can be made for the watchdog.
void bound_time(const std::shared_ptr<Stop>& stop, std::chrono::nanoseconds limit);

}  // namespace osthread
