#include "sync_core.hpp"

#include <cstdio>
#include <stdexcept>

#include "fork.hpp"

namespace osthread {

SyncCore::SyncCore(const char* name) : name_(name), generation_(fork_generation()) {}

bool SyncCore::is_of_this_process() const noexcept { return generation_ == fork_generation(); }

void SyncCore::require_own_process() const {
  if (!is_of_this_process())
    throw std::logic_error(std::string("this ") + name_ +
                           " was made before the fork, and belongs to the parent process");
}

std::string SyncCore::describe() const {
  char text[64];
  std::snprintf(text, sizeof text, "%s: %p", name_, static_cast<const void*>(this));
  return text;
}

// --- Lock -----------------------------------------------------------------------------------------

bool LockCore::take() noexcept {
  if (locked_) return false;
  locked_ = true;
  holder_ = holdings();
  if (holder_) holder_->add(link_);
  return true;
}

bool LockCore::try_acquire() noexcept {
  const std::lock_guard lock(mutex_);
  return take();
}

Wait LockCore::acquire(Blocking::Caller caller, std::optional<Clock::time_point> deadline) noexcept {
  return wait_until([this] { return take(); }, "lock", caller, deadline);
}

bool LockCore::release() noexcept {
  std::shared_ptr<Holdings> holder;
  {
    const std::lock_guard lock(mutex_);
    if (!locked_) return false;
    locked_ = abandoned_ = false;
    holder.swap(holder_);
    if (holder) holder->remove(link_);
  }
  waiting_.tell_one();
  return true;
}

void LockCore::holder_ended(const Holdings* holdings) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!locked_ || holder_.get() != holdings) return;  // somebody has released it meanwhile
    locked_ = false;
    abandoned_ = true;
    holder_.reset();
  }
  waiting_.tell_one();
}

bool LockCore::locked() const noexcept {
  const std::lock_guard lock(mutex_);
  return locked_;
}

bool LockCore::abandoned() const noexcept {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

// --- Semaphore ------------------------------------------------------------------------------------

bool SemaphoreCore::try_acquire() noexcept {
  const std::lock_guard lock(mutex_);
  return take();
}

Wait SemaphoreCore::acquire(Blocking::Caller caller, std::optional<Clock::time_point> deadline) noexcept {
  return wait_until([this] { return take(); }, "semaphore", caller, deadline);
}

void SemaphoreCore::release(std::size_t count) {
  {
    const std::lock_guard lock(mutex_);
    if (value_ + count < value_) throw std::overflow_error("this semaphore can't hold so many");
    value_ += count;
  }
  waiting_.tell(count);
}

std::size_t SemaphoreCore::value() const noexcept {
  const std::lock_guard lock(mutex_);
  return value_;
}

// --- Barrier --------------------------------------------------------------------------------------

BarrierCore::BarrierCore(std::size_t parties)
    : SyncCore("Barrier"), parties_(parties), round_(std::make_shared<Round>()) {
  if (parties == 0) throw std::invalid_argument("a barrier needs 1 party at least, not 0");
}

BarrierCore::Arrival BarrierCore::arrive() {
  auto next = std::make_shared<Round>();
  Arrival arrival;
  bool is_last = false;
  {
    const std::lock_guard lock(mutex_);
    arrival.round = round_;
    if (round_->broken) return arrival;
    arrival.index = round_->arrived++;
    is_last = round_->arrived == parties_;
    if (is_last) {
      round_->passed = true;
      round_.swap(next);
    }
  }
  if (is_last) waiting_.tell_all();
  return arrival;
}

Wait BarrierCore::wait(const Arrival& arrival, Blocking::Caller caller,
                       std::optional<Clock::time_point> deadline) noexcept {
  const Round& round = *arrival.round;
  return wait_until([&] { return round.passed || round.broken; }, "barrier", caller, deadline);
}

std::optional<std::size_t> BarrierCore::leave(const Arrival& arrival) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (arrival.round->passed) return arrival.index;
    if (arrival.round->broken) return std::nullopt;
    arrival.round->broken = true;
  }
  waiting_.tell_all();
  return std::nullopt;
}

void BarrierCore::reset() {
  auto next = std::make_shared<Round>();
  {
    const std::lock_guard lock(mutex_);
    round_->broken = true;
    round_.swap(next);
  }
  waiting_.tell_all();
}

void BarrierCore::abort() noexcept {
  {
    const std::lock_guard lock(mutex_);
    round_->broken = true;
  }
  waiting_.tell_all();
}

std::size_t BarrierCore::waiting() const noexcept {
  const std::lock_guard lock(mutex_);
  return round_->broken ? 0 : round_->arrived;
}

bool BarrierCore::broken() const noexcept {
  const std::lock_guard lock(mutex_);
  return round_->broken;
}

// --- Event ----------------------------------------------------------------------------------------

void EventCore::set() noexcept {
  {
    const std::lock_guard lock(mutex_);
    set_ = true;
    ++sets_;
  }
  waiting_.tell_all();
}

void EventCore::clear() noexcept {
  const std::lock_guard lock(mutex_);
  set_ = false;
}

bool EventCore::is_set() const noexcept {
  const std::lock_guard lock(mutex_);
  return set_;
}

std::uint64_t EventCore::times_set() const noexcept {
  const std::lock_guard lock(mutex_);
  return sets_;
}

Wait EventCore::wait(std::uint64_t since, Blocking::Caller caller,
                     std::optional<Clock::time_point> deadline) noexcept {
  // Who waited when it was set is let go, though it may be cleared again by then.
  return wait_until([&] { return set_ || sets_ != since; }, "event", caller, deadline);
}

}  // namespace osthread
