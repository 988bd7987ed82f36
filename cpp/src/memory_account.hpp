// What a state has given away and is still there: it counts towards the state's memory_limit, or code with a
// small limit could fill the host's memory with messages that nobody takes. A MemoryCharge is one such
// thing's part, for as long as the thing lives.
//
// Invariant: held() is the sum of the charges that live.
//
// Thread safety: everything may be called from any thread. It outlives its state with the last charge.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace osthread {

class MemoryAccount {
 public:
  // Counts alone: nothing else is read because of them.
  std::size_t held() const noexcept { return held_.load(std::memory_order_relaxed); }

 private:
  friend class MemoryCharge;
  std::atomic<std::size_t> held_{0};
};

class MemoryCharge {
 public:
  MemoryCharge() = default;  // of nobody's account
  MemoryCharge(std::shared_ptr<MemoryAccount> account, std::size_t bytes) noexcept
      : account_(std::move(account)), bytes_(bytes) {
    account_->held_.fetch_add(bytes_, std::memory_order_relaxed);
  }
  MemoryCharge(MemoryCharge&& other) noexcept = default;
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryCharge() {
    if (account_) account_->held_.fetch_sub(bytes_, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<MemoryAccount> account_;
  std::size_t bytes_ = 0;
};

}  // namespace osthread
