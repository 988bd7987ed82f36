// The threads that Lua code has started. Whoever holds a handle of one owns it, together with all others who
// do: states, channels, the host. When the last of these handles goes, the thread is terminated, unless it
// was detached. And when a thread has ended whose state alone held them, they have ended, too.
#pragma once

#include <memory>
#include <vector>

#include "thread_handle.hpp"
#include "vm.hpp"

namespace osthread {

// Thread safety: as any object's; the last release may be on any thread, and waits for nothing.
class OSTHREAD_EXPORT OwningThreadHandle final : public ThreadHandle {
 public:
  using ThreadHandle::ThreadHandle;
  ~OwningThreadHandle() override;
  // Who holds it drops it, since nothing reaches it any more: if that ends the thread, somebody should hear
  // of it.
  void note_dropped() noexcept {
    if (count() == 1) dropped_.store(true, std::memory_order_relaxed);
  }
  void detach() noexcept;

 private:
  std::atomic<bool> dropped_{false};
};

// Those that nobody but this state holds.
std::vector<std::shared_ptr<ThreadCore>> owned_threads(const Vm& vm);
// Has those end that have not, without waiting; the orphans of this thread from here on.
void end_owned(const Vm& vm);

// Around the life of a state on its own thread: the threads that lose their last owner on it meanwhile.
class Orphans {
 public:
  Orphans() noexcept;
  ~Orphans();
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;
  // Until they have ended, or the time is over in which they could have answered.
  void wait() const noexcept;

 private:
  friend class OwningThreadHandle;
  friend void end_owned(const Vm& vm);
  static void add(std::shared_ptr<ThreadCore> core) noexcept;

  Orphans* const outer_;
  std::vector<std::shared_ptr<ThreadCore>> cores_;
};

// What is told of a thread's error that nobody will fetch any more, as the last handle is gone; `dropped`: it
// was running then. Without one, it goes to stderr.
using LostThreadReporter = void (*)(ThreadCore& core, bool dropped) noexcept;
void set_lost_thread_reporter(LostThreadReporter reporter) noexcept;

}  // namespace osthread
