#include "watchdog.hpp"

#include <algorithm>

#include "deadline.hpp"
#include "fork.hpp"

namespace osthread {

Watchdog& Watchdog::instance() { return per_process<Watchdog>(); }

void Watchdog::schedule(Clock::time_point at, Task task) {
  bool is_next = false;
  {
    const std::lock_guard lock(mutex_);
    if (!started_) {
      NativeThread(&Watchdog::main, this, {.name = "osthread-dog"}).detach();
      started_ = true;
    }
    heap_.push_back({at, order_++, std::move(task)});
    std::push_heap(heap_.begin(), heap_.end(), later);
    is_next = heap_.front().at == at;
  }
  // After the lock, which it would wait for: it often runs where the thread that is to be stopped does.
  if (is_next) changed_.notify_one();
}

int Watchdog::main(void* self) {
  static_cast<Watchdog*>(self)->run();
  return 0;
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (heap_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Clock::time_point next = heap_.front().at;
    if (next > Clock::now()) {
      changed_.wait_until(lock, next);
      continue;
    }
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    lock.unlock();
    const std::optional<Clock::time_point> again = entry.task();
    if (!again) entry.task = nullptr;  // what it holds may take locks as it goes
    lock.lock();
    if (!again) continue;
    entry.at = *again;
    heap_.push_back(std::move(entry));
    std::push_heap(heap_.begin(), heap_.end(), later);
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

void watch_from(const std::shared_ptr<Stop>& stop, Clock::time_point at) {
  try {
    Watchdog::instance().schedule(at, [stop, at]() mutable {
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
  const auto at = stop->open_here(interrupt::this_thread(), looked_after);
  if (!at) return;
  try {
    watch_from(stop, *at);
  } catch (const std::exception&) {
    Stop::look_now();  // there is nobody who could do so later
  }
}

void bound_time(const std::shared_ptr<Stop>& stop, std::chrono::nanoseconds limit) {
  const Clock::time_point deadline = deadline_after(limit);
  if (!stop->set_deadline(deadline, limit)) return;
  watch_from(stop, deadline);
}

}  // namespace osthread
