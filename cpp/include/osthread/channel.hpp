// A Channel hands values from any number of senders to any number of receivers, in C++, Python and Lua.
//
//   osthread::Channel numbers(64);
//   osthread::OSThread worker("local ch = ... for v in ch do print(v) end", {numbers});
//   numbers.send(1);
//   numbers.close();
//
// What one sender sends arrives in that order. A value is either received, once, or still there: no stop, no
// timeout and no close() loses one; what was sent before close() can still be received.
//
// Thread safety: everything may be called from any thread at once. A Channel is a handle: copies are the same
// channel, which lives as long as one of them, in whatever language. A channel that can be received from
// itself only (it was sent into itself) stays until somebody receives it or the process ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/value.hpp"

namespace osthread {

class ChannelCore;

struct ChannelStatistics {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::size_t size = 0;  // sent and not received yet
  std::size_t capacity = 0;
  int waiting_senders = 0;    // threads, and tasks of the host's event loops
  int waiting_receivers = 0;  // the same, those in select() too
  bool closed = false;
};

class OSTHREAD_EXPORT Channel {
 public:
  static constexpr std::size_t kDefaultCapacity = 1024;
  // `capacity`: how many values wait at most; std::invalid_argument if it is 0.
  explicit Channel(std::size_t capacity = kDefaultCapacity);
  ~Channel();
  Channel(const Channel& other) noexcept;
  Channel& operator=(const Channel& other) noexcept;

  // Waits for room. Throws ChannelClosed, or Stopped where Lua code calls it that is being stopped; then
  // `value` was not sent.
  void send(Value value);
  [[nodiscard]] bool send_for(Value value, std::chrono::nanoseconds timeout);  // false: in vain
  [[nodiscard]] bool try_send(Value value);                                    // false: full
  // One after the other, each as by send().
  void send_many(std::span<const double> numbers);

  // Waits for a value. Throws ChannelClosed once it is closed and empty, or Stopped as send() does.
  Value receive();
  std::optional<Value> receive_for(std::chrono::nanoseconds timeout);
  std::optional<Value> try_receive();
  // Waits for the first, then takes what is there: 1 to `most` of them.
  Values receive_many(std::size_t most);
  // The same for numbers, into `out`: how many. Whatever is no number is not taken: ConversionError if it is
  // the first.
  std::size_t receive_many(std::span<double> out);

  // No more can be sent. Whether it was open.
  bool close() noexcept;
  bool closed() const noexcept;
  std::size_t size() const noexcept;
  std::size_t capacity() const noexcept;
  ChannelStatistics statistics() const noexcept;

  bool operator==(const Channel& other) const noexcept { return core_ == other.core_; }

  // The values, until it is closed and empty. Of each there is one, so a loop over a channel that others
  // receive from sees some of them.
  class Iterator {
   public:
    using value_type = Value;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Channel* channel) : channel_(channel) { ++*this; }
    const Value& operator*() const noexcept { return value_; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return channel_ == nullptr; }

   private:
    Channel* channel_ = nullptr;
    Value value_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

  Value to_value() const;
  static Channel from_value(const Value& value);  // ConversionError

  ChannelCore& core() const noexcept { return *core_; }

 private:
  struct Adopted {};
  Channel(Adopted, ChannelCore* core) noexcept : core_(core) {}
  ChannelCore* core_;
};

// The first of the channels that has a value, and that value; fairly, if several have. A channel that is
// closed and empty is passed over; ChannelClosed when all are, or there is none. Nothing after the timeout.
OSTHREAD_EXPORT std::pair<Channel, Value> select(std::span<const Channel> channels);
OSTHREAD_EXPORT std::optional<std::pair<Channel, Value>> select_for(std::span<const Channel> channels,
                                                                    std::chrono::nanoseconds timeout);

}  // namespace osthread
