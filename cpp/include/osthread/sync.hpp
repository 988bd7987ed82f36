// Lock, Semaphore, Barrier and Event between threads of any language, with the names and habits of Python's
// threading.
//
//   osthread::Lock lock;
//   osthread::OSThread worker("local lock = ... lock:acquire() ... lock:release()", {lock});
//   const std::lock_guard guard(lock);
//
// Thread safety: everything may be called from any thread at once. Each is a handle: copies are the same
// object. Waits end with a stop of the Lua code that calls them (Stopped). After a fork, what was made before
// it throws std::logic_error.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/shared_handle.hpp"
#include "osthread/value.hpp"

namespace osthread {

class OSTHREAD_EXPORT LockCore;
class OSTHREAD_EXPORT SemaphoreCore;
class OSTHREAD_EXPORT BarrierCore;
class OSTHREAD_EXPORT EventCore;

// One holder at a time. Whoever waits longest is woken first, but a thread that runs already may be quicker:
// one that releases it and takes it again at once keeps others waiting. Not recursive. Any thread may release
// it. If the OSThread that holds it ends, the next one gets it, and abandoned() is true until that one
// releases it: what the lock guards may be half changed.
class OSTHREAD_EXPORT Lock : public SharedHandle<LockCore> {
 public:
  Lock();
  void acquire();
  [[nodiscard]] bool acquire_for(std::chrono::nanoseconds timeout);
  [[nodiscard]] bool try_acquire();
  void release();  // std::logic_error if nobody holds it
  bool locked() const noexcept;
  bool abandoned() const noexcept;
  // As std::lock_guard, std::unique_lock and std::scoped_lock want them.
  void lock() { acquire(); }
  bool try_lock() { return try_acquire(); }
  void unlock() { release(); }
  static Lock from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
};

// A count that acquire() takes one of, waiting while it is 0.
class OSTHREAD_EXPORT Semaphore : public SharedHandle<SemaphoreCore> {
 public:
  explicit Semaphore(std::size_t value = 1);
  void acquire();
  [[nodiscard]] bool acquire_for(std::chrono::nanoseconds timeout);
  [[nodiscard]] bool try_acquire();
  void release(std::size_t count = 1);
  std::size_t value() const noexcept;
  static Semaphore from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
};

// A wait in vain for a barrier: somebody gave up, or aborted it.
class OSTHREAD_EXPORT BrokenBarrier : public std::runtime_error {
 public:
  static constexpr const char* kBroken = "the barrier is broken: somebody gave up waiting, or it was aborted";
  using std::runtime_error::runtime_error;
  ~BrokenBarrier() override;
  BrokenBarrier(const BrokenBarrier&);
};

// Holds `parties` threads until all have come; again and again.
class OSTHREAD_EXPORT Barrier : public SharedHandle<BarrierCore> {
 public:
  explicit Barrier(std::size_t parties);  // std::invalid_argument if it is 0
  // From 0 to parties - 1, a different one for each thread. Whoever gives up (time passes, a stop comes)
  // breaks the barrier for all: BrokenBarrier.
  std::size_t wait();
  std::size_t wait_for(std::chrono::nanoseconds timeout);
  void reset();  // as new; those that wait get BrokenBarrier
  void abort();  // broken until reset
  std::size_t parties() const noexcept;
  std::size_t waiting() const noexcept;
  bool broken() const noexcept;
  static Barrier from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
};

// A flag that threads wait for.
class OSTHREAD_EXPORT Event : public SharedHandle<EventCore> {
 public:
  Event();
  void set();
  void clear();
  bool is_set() const noexcept;
  void wait();
  [[nodiscard]] bool wait_for(std::chrono::nanoseconds timeout);  // whether it is set
  static Event from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
};

}  // namespace osthread
