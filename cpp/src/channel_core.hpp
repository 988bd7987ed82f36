// What the handles of one Channel share: the ring, and who waits at each end of it.
//
// Invariant: whoever puts a value into the ring tells a receiver, whoever takes one out tells a sender, and
// who takes the last one out of a closed ring tells all receivers. A told thread that does not take its turn
// passes it on (wait_list.hpp).
//
// Thread safety: everything may be called from any thread. After a fork, what was made before it throws
// std::logic_error, as its locks may be held by threads that are not there.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "adaptive_spin.hpp"
#include "blocking.hpp"
#include "memory_account.hpp"
#include "osthread/channel.hpp"
#include "ring.hpp"
#include "wait_list.hpp"

namespace osthread {

class OSTHREAD_EXPORT ChannelCore final : public Object {
 public:
  using Outcome = Ring::Outcome;
  static constexpr std::size_t kMost = std::size_t{1} << 31;

  explicit ChannelCore(std::size_t capacity);

  Outcome try_send(Value& value) noexcept {
    const Outcome outcome = ring_.send(value);
    if (outcome == Outcome::done) receivers_.tell_one();
    return outcome;
  }
  // As many of them as there is room for at once; `sent`: how many.
  Outcome try_send_some(std::span<Value> values, std::size_t& sent) noexcept {
    const Outcome outcome = ring_.send_some(values, sent);
    if (outcome == Outcome::done) receivers_.tell(sent);
    return outcome;
  }
  Outcome try_receive(Value& value) noexcept { return try_receive(value, any); }
  template <class Wanted>
  Outcome try_receive(Value& value, Wanted wanted) noexcept {
    const Outcome outcome = ring_.receive(value, wanted);
    if (outcome == Outcome::done) after_receive();
    return outcome;
  }
  // The same, but looks for a few microseconds first.
  bool spin_to_send(std::optional<Clock::time_point> deadline) noexcept {
    return send_spin_.until([this] { return ring_.can_send(); }, deadline);
  }
  bool spin_to_receive(std::optional<Clock::time_point> deadline) noexcept {
    return receive_spin_.until([this] { return ring_.can_receive(); }, deadline);
  }

  // `outcome` is set if the wait is over; `value` is taken over, or filled, if it is done. `spun`: the caller
  // has looked for a few microseconds already.
  Wait send(Value& value, Outcome& outcome, Blocking::Caller caller,
            std::optional<Clock::time_point> deadline, bool spun = false) noexcept;
  // `wanted` as Ring::receive has it.
  Wait receive(Value& value, Outcome& outcome, Blocking::Caller caller,
               std::optional<Clock::time_point> deadline, bool (*wanted)(Ring::Kind) = any,
               bool spun = false) noexcept;
  static bool any(Ring::Kind) noexcept { return true; }

  bool close() noexcept;
  // It closes when as many of its closers have ended as were added.
  void add_closer() noexcept { closers_.fetch_add(1, std::memory_order_relaxed); }
  void forget_closer() noexcept { closers_.fetch_sub(1, std::memory_order_relaxed); }
  void closer_ended() noexcept;
  // As send(), but never waits: if it is full, the value is kept beside the ring until there is room. Dropped
  // if it is closed.
  void announce(Value value);

  // For its slots; before others have it.
  void pay(MemoryCharge charge) noexcept { charge_ = std::move(charge); }

  const Ring& ring() const noexcept { return ring_; }
  WaitList& receivers() noexcept { return receivers_; }
  WaitList& senders() noexcept { return senders_; }
  ChannelStatistics statistics() const noexcept;

  // Throws std::logic_error if it was made before a fork.
  void require_own_process() const;
  bool of_this_process() const noexcept;

  std::string describe() const override;
  const char* lua_class() const noexcept override { return "Channel"; }

 private:
  void after_receive() noexcept {
    senders_.tell_one();
    if (ring_.closed()) receivers_.tell_all();  // it may be the last one
    if (has_late_.load(std::memory_order_relaxed)) deliver_late();
  }
  void deliver_late() noexcept;

  MemoryCharge charge_;
  Ring ring_;
  WaitList receivers_;
  WaitList senders_;
  AdaptiveSpin receive_spin_;
  AdaptiveSpin send_spin_;
  const std::uint32_t generation_;  // of the fork that made it
  std::atomic<int> closers_{0};
  // Announcements that found it full. As with a WaitList, who adds one looks for room after that, and who
  // makes room looks for one after that, each with its fence.
  std::atomic<bool> has_late_{false};  // written under late_mutex_
  std::mutex late_mutex_;
  std::deque<Value> late_;
};

// Waits for a value of any of the channels. `outcome` is closed if all are; `at` is where it came from.
Wait select(std::span<ChannelCore* const> channels, Value& value, std::size_t& at, Ring::Outcome& outcome,
            Blocking::Caller caller, std::optional<Clock::time_point> deadline);

// The same without waiting: closed, done, or not_now.
Ring::Outcome try_select(std::span<ChannelCore* const> channels, Value& value, std::size_t& at) noexcept;

}  // namespace osthread
