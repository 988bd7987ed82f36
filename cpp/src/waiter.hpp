#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "adaptive_spin.hpp"
#include "osthread/native_thread.hpp"

namespace osthread {

// How a wait for something ended: it is over; time has passed; a signal came, for a caller that has to look
// at it; the Lua code that calls the caller is being stopped.
enum class Wait { over, timed_out, interrupted, stopped };

// A Waiter is an event count: it lets threads sleep until somebody has changed what they wait for. It keeps
// no condition itself. Everything in this library that blocks parks on one.
//
//   waiting                                              waking
//     for (;;) {
//       const Waiter::Ticket ticket = waiter.ticket();
//       if (condition()) break;                            make the condition true;
//       waiter.park(ticket, deadline);                     waiter.wake_all();
//     }
//
// No wake-up is lost: a wake that comes after ticket() makes park() with that ticket return `woken` at once.
// (Short of 2^32 of them in between, which a 32-bit count can't tell from none.)
//
// Thread safety: any number of threads may call anything at once. ticket() and the wakes are lock-free and
// async-signal-safe; a wake makes no system call while nobody is parked. The Waiter must outlive every call:
// a waker still reads it after the thread it woke has gone on.
class Waiter {
 public:
  // `interrupted`: a signal handler ran in this thread, installed with SA_RESTART or not; the caller looks at
  // its own conditions. A handler that runs just before the thread sleeps can't be seen this way: one that
  // has something to say calls wake_all() too, and that can't be missed. (Never on Windows, where no signal
  // reaches a waiting thread.)
  enum class Outcome { woken, timed_out, interrupted };
  using Ticket = std::uint32_t;

  Waiter() noexcept = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Take it, then check the condition, then park.
  Ticket ticket() const noexcept {
    // Acquire: otherwise the reads of the condition might move above this one: they see the old condition,
    // this sees the wake that announced the new one, and park() sleeps through it. It pairs with the
    // increment in advance().
    return epoch_.load(std::memory_order_acquire);
  }

  // Sleeps until a wake or the deadline (none: for ever). A wake that has come wins over a deadline that has
  // passed. With `spin` it looks for the wake on the CPU first (adaptive_spin.hpp).
  Outcome park(Ticket ticket, std::optional<Clock::time_point> deadline, bool spin = false) noexcept;

  void wake_all() noexcept {
    if (advance()) unblock_all(epoch_);
  }

  // A wake in two halves, for a waker with a lock that the woken thread takes next: woken under it, that
  // thread would push the waker from the CPU, only to sleep again until the lock is free. The first half is
  // all that needs the Waiter; the second, after the lock, wants its address alone, as where a system sleeps
  // is not looked at by a wake. (If something else sleeps there by then it is woken for nothing, as may
  // happen to it anyway.)
  class HalfWake {
   public:
    void finish() const noexcept {
      if (word_) unblock_all(*word_);
    }

   private:
    friend class Waiter;
    const std::atomic<std::uint32_t>* word_ = nullptr;
  };
  HalfWake begin_wake() noexcept {
    HalfWake wake;
    if (advance()) wake.word_ = &epoch_;
    return wake;
  }

  // At least one of the threads parked now, if there are any. Only for waiters of which any can do the work:
  // one that leaves without having done it (its deadline passed, it was stopped) calls wake_one() to pass the
  // turn on.
  void wake_one() noexcept {
    if (advance()) unblock_one(epoch_);
  }

 private:
  using Word = std::atomic<std::uint32_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint32_t),
                "the systems compare 4 plain bytes");

  // The system's part, in waiter_<system>.cpp. `block` sleeps while the word has this value; `woken` means
  // only: look again. The unblocks are async-signal-safe and leave errno alone.
  static Outcome block(const Word& word, std::uint32_t value,
                       std::optional<Clock::time_point> deadline) noexcept;
  static void unblock_one(const Word& word) noexcept;
  static void unblock_all(const Word& word) noexcept;

  // Whether anybody may be parked. Sequentially consistent, both, as are their counterparts in park(): waker
  // and parker each write one word and then read the other's. With anything weaker both could read the old
  // value: the waker sees nobody parked, the parker sees no wake, and it sleeps for ever.
  bool advance() noexcept {
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    return parked_.load(std::memory_order_seq_cst) != 0;
  }

  Word epoch_{0};   // how many wakes there were
  Word parked_{0};  // never less than the number of threads that sleep, or are about to

  AdaptiveSpin spin_;
};

}  // namespace osthread
