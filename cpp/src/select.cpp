#include <cstdint>

#include "channel_core.hpp"
#include "wait_lines.hpp"

namespace osthread {
namespace {

constinit AdaptiveSpin spin;

constinit thread_local std::uint32_t turn = 0;

// Where a thread begins to look moves on from call to call, so that no channel is always the first: by the
// golden section of the circle, as with steps of one a second select, in the same loop over as many channels,
// would always begin at the same of its own.
std::size_t next_start(std::size_t count) noexcept {
  turn += 0x9E3779B9u;
  return static_cast<std::size_t>(std::uint64_t{turn} * count >> 32);
}

Ring::Outcome look(std::span<ChannelCore* const> channels, std::size_t start, Value& value,
                   std::size_t& at) noexcept {
  Ring::Outcome outcome = Ring::Outcome::closed;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    at = (start + i) % channels.size();
    const Ring::Outcome one = channels[at]->try_receive(value);
    if (one != Ring::Outcome::closed) outcome = one;
    if (one == Ring::Outcome::done) break;
  }
  return outcome;
}

}  // namespace

Ring::Outcome try_select(std::span<ChannelCore* const> channels, Value& value, std::size_t& at) noexcept {
  return look(channels, next_start(channels.size()), value, at);
}

Wait select(std::span<ChannelCore* const> channels, Value& value, std::size_t& at, Ring::Outcome& outcome,
            Blocking::Caller caller, std::optional<Clock::time_point> deadline) {
  const std::size_t start = next_start(channels.size());
  const auto received = [&] {
    return (outcome = look(channels, start, value, at)) != Ring::Outcome::not_now;
  };
  const auto any = [&] {
    for (const ChannelCore* channel : channels)
      if (channel->ring().can_receive()) return true;
    return false;
  };
  if (received() || (spin.until(any, deadline) && received())) return Wait::over;

  Waiter waiter;
  WaitLines<WaitList::Entry> lines;
  for (ChannelCore* channel : channels) lines.join(channel->receivers(), waiter);
  const Wait wait = Blocking(waiter, caller, "select", channels.front(), deadline).until([&] {
    do {
      if (received()) return true;
    } while (lines.again());
    return false;
  });
  lines.leave(outcome == Ring::Outcome::done ? std::optional(at) : std::nullopt);
  return wait;
}

}  // namespace osthread
