#include "ring.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

namespace osthread {

// At least two slots: with one, its turn could not tell a value of this lap from room in the next.
Ring::Ring(std::size_t capacity)
    : capacity_(capacity),
      mask_(std::bit_ceil(std::max<std::size_t>(capacity, 2)) - 1),
      exact_(capacity_ != mask_ + 1),
      // Zeroed, and by the system where it can: pages that no value has reached cost nothing.
      slots_(static_cast<Slot*>(std::calloc(mask_ + 1, sizeof(Slot)))) {
  if (!slots_) throw std::bad_alloc();
}

Ring::~Ring() {
  Value value;
  while (receive(value) == Outcome::done) continue;
  std::free(slots_);
}

inline void Ring::publish(std::uint64_t at, Value& value) noexcept {
  Slot& to = slot(at);
  to.type.store(value.type_, std::memory_order_relaxed);
  to.is_short.store(value.type_ == Value::Type::string && value.bytes().size() <= kShort,
                    std::memory_order_relaxed);
  to.payload = value.payload_;
  value.type_ = Value::Type::nil;
  to.turn.store(static_cast<std::uint32_t>((at & ~mask_) + 1), std::memory_order_release);
}

template <class Room>
inline Ring::Outcome Ring::send_into(Room room, Value* values, std::size_t& sent) noexcept {
  for (std::uint64_t at = tail_.load(std::memory_order_relaxed);;) {
    if (at & kClosed) return Outcome::closed;
    const std::int32_t distance = turn(at, false);
    if (distance < 0 || is_full(at)) return Outcome::not_now;
    if (distance > 0) {
      at = tail_.load(std::memory_order_relaxed);
      continue;
    }
    const std::size_t count = room(at);
    if (!tail_.compare_exchange_weak(at, at + count, std::memory_order_relaxed)) continue;
    for (sent = 0; sent < count; ++sent) publish(at + sent, values[sent]);
    return Outcome::done;
  }
}

Ring::Outcome Ring::send(Value& value) noexcept {
  std::size_t sent = 0;
  return send_into([](std::uint64_t) { return std::size_t{1}; }, &value, sent);
}

Ring::Outcome Ring::send_some(std::span<Value> values, std::size_t& sent) noexcept {
  // Positions whose turn has come stay free until one before them is claimed by somebody else.
  const auto room = [this, &values](std::uint64_t at) {
    std::size_t count = 1;
    while (count < values.size() && turn(at + count, false) == 0 && !is_full(at + count)) ++count;
    return count;
  };
  return send_into(room, values.data(), sent);
}

bool Ring::close() noexcept {
  closed_.store(true, std::memory_order_relaxed);
  // Acquire and release: whoever sees the end sees `closed_`, and how many positions were claimed.
  return (tail_.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0;
}

bool Ring::can_receive() const noexcept {
  const std::uint64_t at = head_.load(std::memory_order_relaxed);
  return turn(at, true) >= 0 || is_drained(at);
}

bool Ring::can_send() const noexcept {
  const std::uint64_t at = tail_.load(std::memory_order_relaxed);
  return (at & kClosed) || (turn(at, false) >= 0 && !is_full(at));
}

std::size_t Ring::size() const noexcept {
  const std::uint64_t taken = received();  // first: it is never more than what was sent
  const std::uint64_t count = sent() - taken;
  return std::min(static_cast<std::size_t>(count), capacity_);
}

}  // namespace osthread
