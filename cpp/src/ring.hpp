// A bounded queue of Values for any number of senders and receivers, which never blocks and takes no lock:
// Dmitry Vyukov's bounded MPMC queue (1024cores.net), with an end.
//
// A sender claims a position by advancing tail_, a receiver by advancing head_, so values leave in the order
// of their positions, and those of one sender in the order it sent them. Positions go round the slots lap by
// lap. A slot's turn is `lap` when it waits for that lap's value (so that zeroed memory is an empty ring),
// lap + 1 when it holds it. A value is in the ring from the moment its position is claimed: close() bars the
// claims, so every value claimed before it is published, and can be received.
//
// Invariant: head_ <= tail_ <= head_ + capacity. Whoever has claimed a position is the only one to write to
// its slot until it sets the turn.
//
// Thread safety: everything may be called from any thread at once, but for making and destroying.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "osthread/value.hpp"

namespace osthread {

class Ring {
 public:
  // not_now: full, or empty. refused: by the receiver.
  enum class Outcome { done, not_now, closed, refused };
  // What can be told of a value before it is received.
  struct Kind {
    Value::Type type;
    bool is_short;  // a string of at most kShort bytes
  };
  static constexpr std::size_t kShort = 4096;

  explicit Ring(std::size_t capacity);  // std::bad_alloc
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Takes the value over if it is done.
  Outcome send(Value& value) noexcept;
  // The same with the first of the values that there is room for at once; `sent`: how many.
  Outcome send_some(std::span<Value> values, std::size_t& sent) noexcept;
  // The next value, if wanted(kind) says so of it.
  template <class Wanted>
  Outcome receive(Value& value, Wanted wanted) noexcept;
  Outcome receive(Value& value) noexcept {
    return receive(value, [](Kind) { return true; });
  }

  bool close() noexcept;  // whether it was open
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  // Whether there is something to receive, or never will be; whether there is room, or never will be.
  bool can_receive() const noexcept;
  bool can_send() const noexcept;

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t size() const noexcept;
  std::uint64_t sent() const noexcept { return tail_.load(std::memory_order_relaxed) & ~kClosed; }
  std::uint64_t received() const noexcept { return head_.load(std::memory_order_relaxed); }

 private:
  // The highest bit of tail_, so that no claim can come after it.
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;

  // Four to a cache line. The turn counts modulo 2^32: a position that is wrong by a multiple of that can't
  // be claimed anyway.
  struct Slot {
    std::atomic<std::uint32_t> turn;
    // Atomics, as receive() looks before it has claimed them; their order is the turn's.
    std::atomic<Value::Type> type;
    std::atomic<bool> is_short;
    Value::Payload payload;
  };
  static_assert(sizeof(Slot) == 16);

  Slot& slot(std::uint64_t at) const noexcept { return slots_[at & mask_]; }
  // Below 0: the slot's turn for `at` (or with `held`, for its value) is still to come; above: it is over.
  std::int32_t turn(std::uint64_t at, bool held) const noexcept {
    // Acquire: what was done to the slot before its turn was set is seen.
    return static_cast<std::int32_t>(slot(at).turn.load(std::memory_order_acquire) -
                                     static_cast<std::uint32_t>((at & ~mask_) + held));
  }
  // There are as many slots as the next power of two; where that is more than the capacity, the distance of
  // the ends has to tell. The head is read after the tail and only grows: there is never too little room.
  bool is_full(std::uint64_t at) const noexcept {
    return exact_ && static_cast<std::int64_t>(at - head_.load(std::memory_order_acquire)) >=
                         static_cast<std::int64_t>(capacity_);
  }
  // The first room(position) of the values, where at least that one position is free.
  template <class Room>
  Outcome send_into(Room room, Value* values, std::size_t& sent) noexcept;
  // Puts a value into the slot of a position that the caller has claimed.
  void publish(std::uint64_t at, Value& value) noexcept;
  bool is_drained(std::uint64_t at) const noexcept {
    return closed() && tail_.load(std::memory_order_acquire) == (at | kClosed);
  }

  // Each end has a cache line of its own (two, as processors fetch pairs); what all only read has a third.
  alignas(128) std::atomic<std::uint64_t> tail_{0};
  alignas(128) std::atomic<std::uint64_t> head_{0};
  alignas(128) const std::size_t capacity_;
  const std::uint64_t mask_;
  const bool exact_;
  Slot* const slots_;
  std::atomic<bool> closed_{false};  // set before the bit of tail_ is
};

template <class Wanted>
Ring::Outcome Ring::receive(Value& value, Wanted wanted) noexcept {
  for (std::uint64_t at = head_.load(std::memory_order_relaxed);;) {
    const std::int32_t distance = turn(at, true);
    if (distance < 0) return is_drained(at) ? Outcome::closed : Outcome::not_now;
    if (distance > 0) {
      at = head_.load(std::memory_order_relaxed);
      continue;
    }
    Slot& from = slot(at);
    const Kind kind{from.type.load(std::memory_order_relaxed), from.is_short.load(std::memory_order_relaxed)};
    if (!wanted(kind)) return Outcome::refused;
    // Relaxed, as in send(): the turn orders what is in the slot, the claim only who may.
    if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
    Value taken;
    taken.type_ = kind.type;
    taken.payload_ = from.payload;
    from.turn.store(static_cast<std::uint32_t>((at & ~mask_) + mask_ + 1), std::memory_order_release);
    value = std::move(taken);  // after the turn: what it replaces may take a while to go
    return Outcome::done;
  }
}

}  // namespace osthread
