// What a thread has to do with channels: its mailbox, those that end with it, and the one that is told of
// its end.
#include <stdexcept>

#include "channel_core.hpp"
#include "thread_core.hpp"
#include "thread_handle.hpp"

namespace osthread {

namespace {

constexpr std::size_t kPlaceCost = 16;  // of a value in a channel's ring

}  // namespace

Channel ThreadCore::mailbox() {
  if (inherited()) throw std::logic_error("this OSThread was made before the fork, and so was its mailbox");
  const std::lock_guard lock(mutex_);
  if (!mailbox_) {
    mailbox_.emplace();
    mailbox_->core().pay(charge_.another(Channel::kDefaultCapacity * kPlaceCost));
    if (ended()) mailbox_->close();
  }
  return *mailbox_;
}

void ThreadCore::announce_as(std::function<Value()> make) { announcement_ = std::move(make); }

void ThreadCore::begin_talking() noexcept {
  for (const Channel& channel : closes_) channel.core().add_closer();
}

void ThreadCore::unbegin_talking() noexcept {
  for (const Channel& channel : closes_) channel.core().forget_closer();
}

void ThreadCore::end_talking() {
  std::optional<Channel> mailbox;
  {
    const std::lock_guard lock(mutex_);
    mailbox = mailbox_;  // one that is made later is closed by who makes it
  }
  if (mailbox) mailbox->close();
  holdings_->pass_on();
  for (const Channel& channel : closes_) channel.core().closer_ended();
  closes_.clear();
  if (!notify_) return;
  Value announcement = announcement_ ? announcement_() : thread_value(shared_from_this());
  if (!announcement.is_nil()) notify_->core().announce(std::move(announcement));
  announcement_ = nullptr;
  notify_.reset();
}

}  // namespace osthread
