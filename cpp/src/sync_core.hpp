// What the handles of one Lock, Semaphore, Barrier or Event share.
//
// Invariant of all: the state changes under mutex_ and is looked at again by whoever waits after it has
// joined `waiting_`; whoever changes it tells somebody afterwards (wait_list.hpp).
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "blocking.hpp"
#include "holdings.hpp"
#include "osthread/sync.hpp"
#include "wait_list.hpp"

namespace osthread {

class OSTHREAD_EXPORT SyncCore : public Object {
 public:
  explicit SyncCore(const char* name);
  bool is_of_this_process() const noexcept;
  // std::logic_error if it was made before a fork.
  void require_own_process() const;
  std::string describe() const override;
  const char* lua_class() const noexcept override { return name_; }

 protected:
  // Waits until taken() says so, which it asks under mutex_.
  template <class Taken>
  Wait wait_until(Taken taken, const char* what, Blocking::Caller caller,
                  std::optional<Clock::time_point> deadline) noexcept {
    const auto asked = [&] {
      const std::lock_guard lock(mutex_);
      return taken();
    };
    if (asked()) return Wait::over;
    Waiter waiter;
    WaitList::Entry entry(waiter);
    waiting_.join(entry);
    bool is_over = false;
    const Wait wait = Blocking(waiter, caller, what, this, deadline).until([&] {
      do {
        if ((is_over = asked())) return true;
      } while (waiting_.again(entry));
      return false;
    });
    waiting_.leave(entry, is_over);
    return wait;
  }

  mutable std::mutex mutex_;
  WaitList waiting_;

 private:
  const char* const name_;
  const std::uint32_t generation_;  // of the fork that made it
};

class OSTHREAD_EXPORT LockCore final : public SyncCore {
 public:
  LockCore() : SyncCore("Lock") {}
  bool try_acquire() noexcept;
  Wait acquire(Blocking::Caller caller, std::optional<Clock::time_point> deadline) noexcept;
  bool release() noexcept;  // whether somebody held it
  bool locked() const noexcept;
  bool abandoned() const noexcept;
  // The thread of these holdings has ended.
  void holder_ended(const Holdings* holdings) noexcept;

 private:
  bool take() noexcept;

  bool locked_ = false;
  bool abandoned_ = false;
  std::shared_ptr<Holdings> holder_;  // null: held by a thread that is not ours
  Holdings::Link link_{this};         // of the holder's lock
};

class OSTHREAD_EXPORT SemaphoreCore final : public SyncCore {
 public:
  explicit SemaphoreCore(std::size_t value) : SyncCore("Semaphore"), value_(value) {}
  bool try_acquire() noexcept;
  Wait acquire(Blocking::Caller caller, std::optional<Clock::time_point> deadline) noexcept;
  void release(std::size_t count);  // std::overflow_error
  std::size_t value() const noexcept;

 private:
  bool take() noexcept { return value_ > 0 && (--value_, true); }

  std::size_t value_;
};

class OSTHREAD_EXPORT BarrierCore final : public SyncCore {
 public:
  // Those who wait for each other. Everything of mutex_.
  struct Round {
    std::size_t arrived = 0;
    bool passed = false;
    bool broken = false;
  };
  struct Arrival {
    std::shared_ptr<Round> round;
    std::size_t index = 0;
  };

  explicit BarrierCore(std::size_t parties);
  Arrival arrive();  // std::bad_alloc
  // `over`: all have come, or the barrier is broken; else it may be called again, or leave() must be.
  Wait wait(const Arrival& arrival, Blocking::Caller caller,
            std::optional<Clock::time_point> deadline) noexcept;
  // The end of the wait: the caller's index; none if the barrier is broken, which it is by a caller that all
  // have not come for.
  std::optional<std::size_t> leave(const Arrival& arrival) noexcept;
  void reset();
  void abort() noexcept;
  std::size_t parties() const noexcept { return parties_; }
  std::size_t waiting() const noexcept;
  bool broken() const noexcept;

 private:
  const std::size_t parties_;
  std::shared_ptr<Round> round_;
};

class OSTHREAD_EXPORT EventCore final : public SyncCore {
 public:
  EventCore() : SyncCore("Event") {}
  void set() noexcept;
  void clear() noexcept;
  bool is_set() const noexcept;
  std::uint64_t times_set() const noexcept;
  // Until it is set, or has been set more often than `since` times: who waits on after an interruption has
  // not missed what came meanwhile.
  Wait wait(std::uint64_t since, Blocking::Caller caller, std::optional<Clock::time_point> deadline) noexcept;

 private:
  bool set_ = false;
  std::uint64_t sets_ = 0;  // how often it was set
};

}  // namespace osthread
