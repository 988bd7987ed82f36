// The lock behind "one call at a time": recursive, and its wait ends when the host has a signal to look at,
// or when the Lua code around the caller is being stopped.
//
// Invariant: owner_ is the thread that holds it, depth_ how often; only that thread writes depth_.
//
// Thread safety: any number of threads may call anything; unlock() is for the one that holds it.
#pragma once

#include <atomic>
#include <cstdint>

#include "waiter.hpp"

namespace osthread {

class TurnLock {
 public:
  void lock();  // Stopped: the wait was cut short
  bool try_lock() noexcept;
  void unlock() noexcept;

 private:
  std::atomic<std::uintptr_t> owner_{0};  // 0: nobody
  int depth_ = 0;
  Waiter free_;
};

}  // namespace osthread
