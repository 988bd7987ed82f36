#include "channel_core.hpp"
#include "host.hpp"
#include "notifier.hpp"
#include "wait_lines.hpp"

namespace osthread::host {
namespace {

using Outcome = Ring::Outcome;

bool number(Ring::Kind kind) noexcept { return kind.type == Value::Type::number; }

std::optional<Passed> passed_as(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::done:
      return Passed::done;
    case Outcome::closed:
      return Passed::closed;
    case Outcome::refused:
      return Passed::refused;
    case Outcome::not_now:
      return std::nullopt;
  }
  return std::nullopt;
}

std::vector<ChannelCore*> cores_of(std::span<const Channel> channels) {
  std::vector<ChannelCore*> cores;
  for (const Channel& channel : channels) {
    channel.core().require_own_process();
    cores.push_back(&channel.core());
  }
  return cores;
}

}  // namespace

Wait send(const Channel& channel, Value& value, Passed& passed, std::optional<Clock::time_point> deadline) {
  channel.core().require_own_process();
  Outcome outcome = Outcome::not_now;
  const Wait wait = channel.core().send(value, outcome, Blocking::Caller::host, deadline);
  if (wait == Wait::over) passed = *passed_as(outcome);
  return wait;
}

Wait receive(const Channel& channel, Value& value, Passed& passed, std::optional<Clock::time_point> deadline,
             bool numbers_only) {
  channel.core().require_own_process();
  Outcome outcome = Outcome::not_now;
  const Wait wait = channel.core().receive(value, outcome, Blocking::Caller::host, deadline,
                                           numbers_only ? number : ChannelCore::any);
  if (wait == Wait::over) passed = *passed_as(outcome);
  return wait;
}

Wait select(std::span<const Channel> channels, Value& value, std::size_t& at, Passed& passed,
            std::optional<Clock::time_point> deadline) {
  Outcome outcome = Outcome::not_now;
  const Wait wait =
      osthread::select(cores_of(channels), value, at, outcome, Blocking::Caller::host, deadline);
  if (wait == Wait::over) passed = *passed_as(outcome);
  return wait;
}

std::optional<Passed> try_send(const Channel& channel, Value& value) {
  channel.core().require_own_process();
  return passed_as(channel.core().try_send(value));
}

std::optional<Passed> try_send_some(const Channel& channel, std::span<Value> values, std::size_t& sent) {
  channel.core().require_own_process();
  return passed_as(channel.core().try_send_some(values, sent));
}

std::optional<Passed> try_receive(const Channel& channel, Value& value, bool numbers_only) {
  channel.core().require_own_process();
  return passed_as(channel.core().try_receive(value, numbers_only ? number : ChannelCore::any));
}

std::optional<Passed> try_select(std::span<const Channel> channels, Value& value, std::size_t& at) {
  return passed_as(osthread::try_select(cores_of(channels), value, at));
}

struct AsyncWait::State {
  explicit State(std::vector<Channel> c) : channels(std::move(c)) {}

  std::vector<Channel> channels;  // first: they outlive the lines
  WaitLines<Notifier::Entry> lines;
};

AsyncWait::AsyncWait(std::uint64_t key, std::vector<Channel> channels, For what)
    : state_(std::make_unique<State>(std::move(channels))) {
  for (ChannelCore* core : cores_of(state_->channels))
    state_->lines.join(what == For::value ? core->receivers() : core->senders(), key);
}

AsyncWait::~AsyncWait() { leave(std::nullopt); }

bool AsyncWait::again() noexcept { return state_ && state_->lines.again(); }

void AsyncWait::leave(std::optional<std::size_t> used) noexcept {
  if (!state_) return;
  std::unique_ptr<State> state = std::move(state_);
  if (state->channels.front().core().of_this_process())
    state->lines.leave(used);
  else
    (void)state.release();  // the parent's, with locks that may be held by threads that are not here
}

void set_async_report(void (*report)(std::span<const std::uint64_t> keys) noexcept) noexcept {
  Notifier::set_report(report);
}

}  // namespace osthread::host
