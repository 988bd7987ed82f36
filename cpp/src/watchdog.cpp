#include "watchdog.hpp"

#include "deadline.hpp"
#include "fork.hpp"

namespace osthread {

Watchdog& Watchdog::instance() { return per_process<Watchdog>(); }

void Watchdog::replace(const void* owner, Clock::time_point before, Clock::time_point at, Task task) {
  bool is_next = false;
  Queue::node_type gone;  // dropped after the lock: what it holds may take locks as it goes
  {
    const std::lock_guard lock(mutex_);
    if (!started_) {
      NativeThread(&Watchdog::main, this, {.name = "osthread-dog"}).detach();
      started_ = true;
    }
    const auto added = queue_.emplace(at, Entry{owner, std::move(task)});
    gone = take_out(owner, before);
    is_next = added == queue_.begin();
  }
  // After the lock, which it would wait for: it often runs where the thread that is to be stopped does.
  if (is_next) changed_.notify_one();
}

Watchdog::Queue::node_type Watchdog::take_out(const void* owner, Clock::time_point at) noexcept {
  if (!owner || at == Clock::time_point::max()) return {};
  const auto [first, last] = queue_.equal_range(at);
  for (auto entry = first; entry != last; ++entry)
    if (entry->second.owner == owner) return queue_.extract(entry);
  replaced_ = replaced_ || running_ == owner;  // it has just said when it would run again
  return {};
}

std::size_t Watchdog::scheduled() {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

int Watchdog::main(void* self) {
  static_cast<Watchdog*>(self)->run();
  return 0;
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Clock::time_point next = queue_.begin()->first;
    if (next > Clock::now()) {
      changed_.wait_until(lock, next);
      continue;
    }
    Queue::node_type entry = queue_.extract(queue_.begin());
    running_ = entry.mapped().owner;
    replaced_ = false;
    lock.unlock();
    const std::optional<Clock::time_point> again = entry.mapped().task();
    if (!again) entry = {};  // what it holds may take locks as it goes
    lock.lock();
    running_ = nullptr;
    if (!again) continue;
    if (replaced_) {
      lock.unlock();
      entry = {};
      lock.lock();
      continue;
    }
    entry.key() = *again;
    queue_.insert(std::move(entry));
  }
}

void keep_asking(const std::shared_ptr<Stop>& stop) noexcept {
  try {
    const auto first = stop->leave() == Leave::no ? kAskAgain : kLeaveAgain;
    Watchdog::instance().schedule(Clock::now() + first, [stop] { return stop->deliver(); });
  } catch (const std::exception&) {
    stop->deliver();
  }
}

bool ask_to_stop(const std::shared_ptr<Stop>& stop) noexcept {
  if (!stop->ask(StopReason::interrupt)) return false;
  keep_asking(stop);
  return true;
}

bool kill_now(const std::shared_ptr<Stop>& stop) noexcept {
  if (!stop->kill()) return false;
  keep_asking(stop);
  return true;
}

bool pause_now(const std::shared_ptr<Stop>& stop) noexcept {
  if (!stop->pause()) return false;
  keep_asking(stop);
  return true;
}

namespace {

void watch_from(const std::shared_ptr<Stop>& stop, Stop::Watch watch) {
  try {
    Watchdog::instance().replace(stop.get(), watch.before, watch.at, [stop, at = watch.at]() mutable {
      const std::optional<Clock::time_point> next = stop->watch(at);
      if (next) at = *next;
      return next;
    });
  } catch (...) {
    stop->forget_watch();
    throw;
  }
}

}  // namespace

void open_here(const std::shared_ptr<Stop>& stop, bool looked_after) noexcept {
  const auto watch = stop->open_here(interrupt::this_thread(), looked_after);
  if (!watch) return;
  try {
    watch_from(stop, *watch);
  } catch (const std::exception&) {
    Stop::look_now();  // there is nobody who could do so later
  }
}

void bound_time(const std::shared_ptr<Stop>& stop, std::chrono::nanoseconds limit) {
  const Clock::time_point deadline = deadline_after(limit);
  if (const auto watch = stop->set_deadline(deadline, limit)) watch_from(stop, *watch);
}

}  // namespace osthread
