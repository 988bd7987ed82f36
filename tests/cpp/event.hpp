// Something that happens, perhaps several times, and that threads wait for.
//
// A lock and a condition variable: std::atomic's wait(), and the semaphores and barriers made of it, lose
// wake-ups in GCC 12 on systems without futexes (Windows), as they look at the value before they take the
// lock.
#pragma once

#include <condition_variable>
#include <mutex>

namespace osthread::test {

class Event {
 public:
  void happen() {
    const std::lock_guard lock(mutex_);
    ++times_;
    happened_.notify_all();
  }
  void wait(int times = 1) {
    std::unique_lock lock(mutex_);
    happened_.wait(lock, [&] { return times_ >= times; });
  }
  int times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable happened_;
  int times_ = 0;
};

}  // namespace osthread::test
