#include "osthread/channel.hpp"

#include <algorithm>
#include <array>

#include "channel_core.hpp"

namespace osthread {
namespace {

using Outcome = Ring::Outcome;
constexpr const char* kNoNumber = "the next value is no number; receive() takes it";

using Deadline = std::optional<Clock::time_point>;

bool send(ChannelCore& core, Value& value, Deadline deadline) {
  core.require_own_process();
  Outcome outcome = Outcome::not_now;
  persist([&] { return core.send(value, outcome, Blocking::Caller::host, deadline); });
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kSend);
  return outcome == Outcome::done;
}

bool is_number(Ring::Kind kind) noexcept { return kind.type == Value::Type::number; }

bool receive(ChannelCore& core, Value& value, Deadline deadline) {
  core.require_own_process();
  Outcome outcome = Outcome::not_now;
  persist([&] { return core.receive(value, outcome, Blocking::Caller::host, deadline); });
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kReceive);
  return outcome == Outcome::done;
}

std::optional<std::pair<Channel, Value>> select_until(std::span<const Channel> channels, Deadline deadline) {
  if (channels.empty()) throw ChannelClosed(ChannelClosed::kSelect);
  std::vector<ChannelCore*> cores;
  for (const Channel& channel : channels) {
    channel.core().require_own_process();
    cores.push_back(&channel.core());
  }
  Value value;
  std::size_t at = 0;
  Outcome outcome = Outcome::not_now;
  persist([&] { return select(cores, value, at, outcome, Blocking::Caller::host, deadline); });
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kSelect);
  if (outcome != Outcome::done) return std::nullopt;
  return std::pair(channels[at], std::move(value));
}

}  // namespace

Channel::Channel(std::size_t capacity) : core_(new ChannelCore(capacity)) {}
Channel::~Channel() { core_->release(); }
Channel::Channel(const Channel& other) noexcept : core_(other.core_) { core_->retain(); }

Channel& Channel::operator=(const Channel& other) noexcept {
  other.core_->retain();  // first: it may be the same
  core_->release();
  core_ = other.core_;
  return *this;
}

void Channel::send(Value value) { (void)osthread::send(*core_, value, std::nullopt); }

bool Channel::send_for(Value value, std::chrono::nanoseconds timeout) {
  return osthread::send(*core_, value, deadline_after(timeout));
}

bool Channel::try_send(Value value) {
  core_->require_own_process();
  const Outcome outcome = core_->try_send(value);
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kSend);
  return outcome == Outcome::done;
}

void Channel::send_many(std::span<const double> numbers) {
  core_->require_own_process();
  std::array<Value, 256> values;
  while (!numbers.empty()) {
    const std::size_t count = std::min(numbers.size(), values.size());
    std::copy_n(numbers.begin(), count, values.begin());
    for (std::size_t sent = 0; sent < count;) {
      std::size_t now = 0;
      if (core_->try_send_some(std::span(values).subspan(sent, count - sent), now) == Outcome::done) {
        sent += now;
      } else {
        (void)osthread::send(*core_, values[sent], std::nullopt);
        ++sent;
      }
    }
    numbers = numbers.subspan(count);
  }
}

Value Channel::receive() {
  Value value;
  (void)osthread::receive(*core_, value, std::nullopt);
  return value;
}

std::optional<Value> Channel::receive_for(std::chrono::nanoseconds timeout) {
  Value value;
  if (!osthread::receive(*core_, value, deadline_after(timeout))) return std::nullopt;
  return value;
}

std::optional<Value> Channel::try_receive() {
  core_->require_own_process();
  Value value;
  const Outcome outcome = core_->try_receive(value);
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kReceive);
  if (outcome != Outcome::done) return std::nullopt;
  return value;
}

Values Channel::receive_many(std::size_t most) {
  Values values;
  if (most == 0) return values;
  values.push_back(receive());
  Value value;
  while (values.size() < most && core_->try_receive(value) == Outcome::done)
    values.push_back(std::move(value));
  return values;
}

std::size_t Channel::receive_many(std::span<double> out) {
  if (out.empty()) return 0;
  core_->require_own_process();
  Value value;
  Outcome outcome = Outcome::not_now;
  persist([&] { return core_->receive(value, outcome, Blocking::Caller::host, std::nullopt, is_number); });
  if (outcome == Outcome::closed) throw ChannelClosed(ChannelClosed::kReceive);
  if (outcome == Outcome::refused) throw ConversionError("value", kNoNumber);
  std::size_t count = 0;
  for (; outcome == Outcome::done; outcome = core_->try_receive(value, is_number)) {
    out[count++] = value.number();
    if (count == out.size()) break;
  }
  return count;
}

bool Channel::close() noexcept { return core_->of_this_process() && core_->close(); }
bool Channel::closed() const noexcept { return core_->ring().closed(); }
std::size_t Channel::size() const noexcept { return core_->ring().size(); }
std::size_t Channel::capacity() const noexcept { return core_->ring().capacity(); }
ChannelStatistics Channel::statistics() const noexcept { return core_->statistics(); }

Channel::Iterator& Channel::Iterator::operator++() {
  Outcome outcome = Outcome::not_now;
  ChannelCore& core = channel_->core();
  core.require_own_process();
  persist([&] { return core.receive(value_, outcome, Blocking::Caller::host, std::nullopt); });
  if (outcome == Outcome::closed) channel_ = nullptr;
  return *this;
}

Value Channel::to_value() const {
  core_->retain();
  return Value::adopt(core_);
}

Channel Channel::from_value(const Value& value) {
  auto* core = value.type() == Value::Type::object ? dynamic_cast<ChannelCore*>(value.object()) : nullptr;
  if (!core) throw ConversionError("", std::string("a Channel was wanted, not ") + value.type_name());
  core->retain();
  return Channel(Adopted{}, core);
}

std::pair<Channel, Value> select(std::span<const Channel> channels) {
  return *select_until(channels, std::nullopt);
}

std::optional<std::pair<Channel, Value>> select_for(std::span<const Channel> channels,
                                                    std::chrono::nanoseconds timeout) {
  return select_until(channels, deadline_after(timeout));
}

}  // namespace osthread
