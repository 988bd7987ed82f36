#include "wait_list.hpp"

namespace osthread {

void WaitList::join(Entry& entry) noexcept {
  {
    const std::lock_guard lock(mutex_);
    entry.previous_ = last_;
    entry.next_ = nullptr;
    entry.order_ = joined_++;
    entry.told_ = entry.told_before_ = false;
    if (!untold_from_) untold_from_ = &entry;
    (last_ ? last_->next_ : first_) = &entry;
    last_ = &entry;
    untold_.fetch_add(1, std::memory_order_relaxed);
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  heavy_fence();
}

bool WaitList::again(Entry& entry) noexcept {
  {
    const std::lock_guard lock(mutex_);
    entry.told_before_ = entry.told_;
    if (!entry.told_) return false;  // it was announced before, and still is
    entry.told_ = false;
    if (!untold_from_ || entry.order_ < untold_from_->order_) untold_from_ = &entry;
    untold_.fetch_add(1, std::memory_order_relaxed);
  }
  heavy_fence();
  return true;
}

void WaitList::leave(Entry& entry, bool used) noexcept {
  Waiter::HalfWake wake;
  {
    const std::lock_guard lock(mutex_);
    (entry.previous_ ? entry.previous_->next_ : first_) = entry.next_;
    (entry.next_ ? entry.next_->previous_ : last_) = entry.previous_;
    if (untold_from_ == &entry) untold_from_ = entry.next_;
    if (!entry.told_) untold_.fetch_sub(1, std::memory_order_relaxed);
    size_.fetch_sub(1, std::memory_order_relaxed);
    if (int{entry.told_} + int{entry.told_before_} > int{used}) wake = tell_locked();
  }
  wake.finish();
}

void WaitList::tell_first() noexcept {
  Waiter::HalfWake wake;
  {
    const std::lock_guard lock(mutex_);
    wake = tell_locked();
  }
  wake.finish();
}

void WaitList::tell_all() noexcept {
  light_fence();
  if (untold_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  while (untold_from_) tell_locked().finish();
}

Waiter::HalfWake WaitList::tell_locked() noexcept {
  while (untold_from_) {
    Entry& entry = *untold_from_;
    untold_from_ = entry.next_;
    if (entry.told_) continue;
    entry.told_ = true;
    untold_.fetch_sub(1, std::memory_order_relaxed);
    return entry.wake();
  }
  return {};
}

}  // namespace osthread
