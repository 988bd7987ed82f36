#include "notifier.hpp"

#include <array>

#include "fork.hpp"
#include "osthread/native_thread.hpp"

namespace osthread {
namespace {

std::atomic<Notifier::Report> host_report{nullptr};

// How many waits the host hears of at once, so that thousands cost it few turns at the GIL.
constexpr std::size_t kBatch = 1024;

}  // namespace

// Release, and acquire where it is called: what the host has made ready for it is seen there.
void Notifier::set_report(Report report) noexcept { host_report.store(report, std::memory_order_release); }

Notifier& Notifier::instance() { return per_process<Notifier>(); }

void Notifier::call_soon(void (*errand)() noexcept) {
  Notifier& notifier = instance();
  notifier.start();
  notifier.errand_.store(errand, std::memory_order_release);
  notifier.changed_.wake_one();
}

Notifier::Entry::Entry(Key key) : notifier_(instance()), key_(key) { notifier_.start(); }

void Notifier::add(Entry& entry) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (entry.queued_) return;
    entry.queued_ = true;
    entry.previous_ = last_;
    entry.next_ = nullptr;
    (last_ ? last_->next_ : first_) = &entry;
    last_ = &entry;
  }
  changed_.wake_one();
}

void Notifier::remove(Entry& entry) noexcept {
  const std::lock_guard lock(mutex_);
  if (entry.queued_) unlink(entry);
}

void Notifier::unlink(Entry& entry) noexcept {
  (entry.previous_ ? entry.previous_->next_ : first_) = entry.next_;
  (entry.next_ ? entry.next_->previous_ : last_) = entry.previous_;
  entry.queued_ = false;
}

std::span<const Notifier::Key> Notifier::take(std::span<Key> keys) noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (; first_ && count < keys.size(); unlink(*first_)) keys[count++] = first_->key_;
  return keys.first(count);
}

void Notifier::start() {
  const std::lock_guard lock(mutex_);
  if (started_) return;
  NativeThread(&Notifier::main, this, {.name = "osthread-notify"}).detach();
  started_ = true;
}

int Notifier::main(void* self) {
  static_cast<Notifier*>(self)->run();
  return 0;
}

void Notifier::run() noexcept {
  std::array<Key, kBatch> keys;
  for (;;) {
    const Waiter::Ticket ticket = changed_.ticket();
    if (const auto errand = errand_.exchange(nullptr, std::memory_order_acquire)) errand();
    const std::span<const Key> told = take(keys);
    const Report report = host_report.load(std::memory_order_acquire);
    if (!told.empty() && report)
      report(told);
    else
      changed_.park(ticket, std::nullopt);
  }
}

}  // namespace osthread
