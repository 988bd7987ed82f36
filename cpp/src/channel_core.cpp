#include "channel_core.hpp"

#include <cstdio>
#include <stdexcept>

#include "fork.hpp"

namespace osthread {
namespace {

std::size_t checked(std::size_t capacity) {
  if (capacity == 0 || capacity > ChannelCore::kMost)
    throw std::invalid_argument("a channel's capacity must be from 1 to 2^31, not " +
                                std::to_string(capacity));
  return capacity;
}

}  // namespace

ChannelCore::ChannelCore(std::size_t capacity) : ring_(checked(capacity)), generation_(fork_generation()) {}

Wait ChannelCore::send(Value& value, Outcome& outcome, Blocking::Caller caller,
                       std::optional<Clock::time_point> deadline, bool spun) noexcept {
  const auto sent = [&] { return (outcome = try_send(value)) != Outcome::not_now; };
  if (sent() || (!spun && spin_to_send(deadline) && sent())) return Wait::over;
  Waiter waiter;
  WaitList::Entry entry(waiter);
  senders_.join(entry);
  const Wait wait = Blocking(waiter, caller, "send", this, deadline).until([&] {
    do {
      if (sent()) return true;
    } while (senders_.again(entry));
    return false;
  });
  senders_.leave(entry, outcome == Outcome::done);
  return wait;
}

Wait ChannelCore::receive(Value& value, Outcome& outcome, Blocking::Caller caller,
                          std::optional<Clock::time_point> deadline, bool (*wanted)(Ring::Kind),
                          bool spun) noexcept {
  const auto received = [&] { return (outcome = try_receive(value, wanted)) != Outcome::not_now; };
  if (received() || (!spun && spin_to_receive(deadline) && received())) return Wait::over;
  Waiter waiter;
  WaitList::Entry entry(waiter);
  receivers_.join(entry);
  const Wait wait = Blocking(waiter, caller, "receive", this, deadline).until([&] {
    do {
      if (received()) return true;
    } while (receivers_.again(entry));
    return false;
  });
  receivers_.leave(entry, outcome == Outcome::done);
  return wait;
}

bool ChannelCore::close() noexcept {
  const bool was_open = ring_.close();
  receivers_.tell_all();
  senders_.tell_all();
  return was_open;
}

void ChannelCore::closer_ended() noexcept {
  // Acquire and release: whoever sees the end sees what all of them did before.
  if (closers_.fetch_sub(1, std::memory_order_acq_rel) == 1) close();
}

void ChannelCore::announce(Value value) {
  if (try_send(value) != Outcome::not_now) return;
  {
    const std::lock_guard lock(late_mutex_);
    late_.push_back(std::move(value));
    has_late_.store(true, std::memory_order_relaxed);
  }
  heavy_fence();
  deliver_late();
}

void ChannelCore::deliver_late() noexcept {
  std::deque<Value> dropped;  // after the lock: what they hold may call anything
  const std::lock_guard lock(late_mutex_);
  while (!late_.empty()) {
    const Outcome outcome = ring_.send(late_.front());
    if (outcome == Outcome::not_now) break;
    if (outcome == Outcome::closed) {
      dropped.swap(late_);
      break;
    }
    late_.pop_front();
    receivers_.tell_one();
  }
  has_late_.store(!late_.empty(), std::memory_order_relaxed);
}

ChannelStatistics ChannelCore::statistics() const noexcept {
  return {.sent = ring_.sent(),
          .received = ring_.received(),
          .size = ring_.size(),
          .capacity = ring_.capacity(),
          .waiting_senders = senders_.size(),
          .waiting_receivers = receivers_.size(),
          .closed = ring_.closed()};
}

bool ChannelCore::of_this_process() const noexcept { return generation_ == fork_generation(); }

void ChannelCore::require_own_process() const {
  if (!of_this_process())
    throw std::logic_error("this Channel was made before the fork, and belongs to the parent process");
}

std::string ChannelCore::describe() const {
  char text[64];
  std::snprintf(text, sizeof text, "Channel: %p", static_cast<const void*>(this));
  return text;
}

}  // namespace osthread
