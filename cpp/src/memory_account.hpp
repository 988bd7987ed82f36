// What a state has given away and is still there: it counts towards the state's memory_limit, or code with a
// small limit could fill the host's memory with messages that nobody takes. A MemoryCharge is one such
// thing's part, for as long as the thing lives. What a thread gives away that the state's code has started
// counts there as well, or one such thread after the other could do what the state itself can't.
//
// Invariant: held() is the sum of the charges that live, of this account and of all within it.
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
  // `most`: the state's memory_limit. `outer`: of the state whose code has started this one's thread, or
  // null.
  MemoryAccount(std::size_t most, std::shared_ptr<MemoryAccount> outer) noexcept
      : most_(most), outer_(std::move(outer)) {}

  // Counts alone: nothing else is read because of them.
  std::size_t held() const noexcept { return held_.load(std::memory_order_relaxed); }
  // Whether those further out allow so much more; threads that ask at once may each be told so.
  bool fits_outside(std::size_t bytes) const noexcept {
    for (const MemoryAccount* each = outer_.get(); each; each = each->outer_.get())
      if (const std::size_t held = each->held(); held > each->most_ || bytes > each->most_ - held)
        return false;
    return true;
  }

 private:
  friend class MemoryCharge;
  void add(std::size_t bytes) noexcept {
    for (MemoryAccount* each = this; each; each = each->outer_.get())
      each->held_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void subtract(std::size_t bytes) noexcept {
    for (MemoryAccount* each = this; each; each = each->outer_.get())
      each->held_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  const std::size_t most_;
  const std::shared_ptr<MemoryAccount> outer_;
  std::atomic<std::size_t> held_{0};
};

class MemoryCharge {
 public:
  MemoryCharge() = default;  // of nobody's account
  MemoryCharge(std::shared_ptr<MemoryAccount> account, std::size_t bytes) noexcept
      : account_(std::move(account)), bytes_(bytes) {
    account_->add(bytes_);
  }
  MemoryCharge(MemoryCharge&& other) noexcept = default;
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  // So much more, without a look at the limit.
  void grow(std::size_t bytes) noexcept {
    if (!account_) return;
    account_->add(bytes);
    bytes_ += bytes;
  }
  // For something else of the same account; the same.
  MemoryCharge another(std::size_t bytes) const noexcept {
    return account_ ? MemoryCharge(account_, bytes) : MemoryCharge();
  }
  // Whether it is of anybody's account.
  explicit operator bool() const noexcept { return account_ != nullptr; }
  ~MemoryCharge() {
    if (account_) account_->subtract(bytes_);
  }

 private:
  std::shared_ptr<MemoryAccount> account_;
  std::size_t bytes_ = 0;
};

}  // namespace osthread
