// One thread for the whole process that does what must happen at a time: deadlines, and asking again until a
// stop is answered. It starts with the first task.
//
// Invariant: a task runs on the watchdog's thread, one at a time, and blocks for nothing but short locks; it
// says when it wants to run again, or that it is done. A Stop has one task at most that watches it: calls
// that begin again and again leave nothing behind for the time their time limits would have ended.
//
// Thread safety: everything may be called from any thread. After a fork the child gets a watchdog of its own,
// without the parent's tasks.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "osthread/native_thread.hpp"
#include "run.hpp"

namespace osthread {

class Watchdog {
 public:
  using Task = std::function<std::optional<Clock::time_point>()>;

  static Watchdog& instance();
  void schedule(Clock::time_point at, Task task) {
    replace(nullptr, Clock::time_point::max(), at, std::move(task));
  }
  // The same, for the owner's only task: in place of the one that would have run at `before`, if there is
  // one.
  void replace(const void* owner, Clock::time_point before, Clock::time_point at, Task task);
  std::size_t scheduled();  // how many tasks there are

 private:
  struct Entry {
    const void* owner;
    Task task;
  };
  using Queue = std::multimap<Clock::time_point, Entry>;  // those of one time in the order of their coming

  static int main(void* self);
  void run();
  Queue::node_type take_out(const void* owner, Clock::time_point at) noexcept;

  std::mutex mutex_;
  std::condition_variable changed_;
  Queue queue_;
  const void* running_ = nullptr;  // whose task runs
  bool replaced_ = false;          // it does not run again
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
