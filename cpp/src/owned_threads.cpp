#include "owned_threads.hpp"

#include <algorithm>
#include <cstdio>
#include <unordered_map>
#include <utility>

#include "deadline.hpp"
#include "lua_object.hpp"

namespace osthread {
namespace {

constinit std::atomic<LostThreadReporter> reporter{nullptr};
thread_local Orphans* orphans_here = nullptr;

bool is_stop(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Stopped&) {
    return true;
  } catch (...) {
    return false;
  }
}

const char* text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception";
  }
}

void report(ThreadCore& core, bool dropped) {
  const std::optional<Outcome> outcome = core.shared_outcome();
  if (!outcome || !outcome->error || core.fetched()) return;
  if (!dropped && is_stop(outcome->error)) return;  // that was asked for
  core.note_fetched();
  if (const LostThreadReporter tell = reporter.load(std::memory_order_acquire)) {
    tell(core, dropped);
    return;
  }
  std::fprintf(stderr, "ERROR in the OSThread '%s'%s: %s\n", core.options().name.c_str(),
               dropped ? ", dropped while it was running" : "", text_of(outcome->error));
}

void report_at_end(const std::shared_ptr<ThreadCore>& core, bool dropped) noexcept {
  try {
    core->on_end([core, dropped] { report(*core, dropped); });
  } catch (const std::bad_alloc&) {
    return;  // no memory even to say so
  }
}

}  // namespace

OwningThreadHandle::~OwningThreadHandle() {
  const std::shared_ptr<ThreadCore> held = core();
  if (held->detached()) return;
  if (held->status() == Status::suspended) {
    held->discard();
    return;
  }
  if (!held->ended() && held->options().on_exit == OnExit::detach) {
    detach();
    return;
  }
  report_at_end(held, !held->ended() && dropped_.load(std::memory_order_relaxed));
  if (held->ended()) return;
  held->terminate_later();
  Orphans::add(held);
}

void OwningThreadHandle::detach() noexcept {
  core()->detach();
  report_at_end(core(), false);
}

std::vector<std::shared_ptr<ThreadCore>> owned_threads(const Vm& vm) {
  std::unordered_map<const Object*, std::uint32_t> handles;
  for (const Object* object : boxed_objects(vm)) ++handles[object];
  std::vector<std::shared_ptr<ThreadCore>> threads;
  for (const auto& [object, count] : handles)
    if (const auto* handle = dynamic_cast<const OwningThreadHandle*>(object))
      if (handle->count() == count && !handle->core()->detached()) threads.push_back(handle->core());
  return threads;
}

void end_owned(const Vm& vm) {
  for (std::shared_ptr<ThreadCore>& core : owned_threads(vm)) {
    if (core->status() == Status::suspended) core->discard();
    if (core->ended() || core->options().on_exit == OnExit::detach) continue;
    core->terminate_later();
    Orphans::add(std::move(core));
  }
}

Orphans::Orphans() noexcept : outer_(std::exchange(orphans_here, this)) {}
Orphans::~Orphans() { orphans_here = outer_; }

void Orphans::add(std::shared_ptr<ThreadCore> core) noexcept {
  if (!orphans_here) return;
  try {
    orphans_here->cores_.push_back(std::move(core));
  } catch (const std::bad_alloc&) {
    return;  // it ends all the same, a little later maybe
  }
}

void Orphans::wait() const noexcept {
  std::chrono::nanoseconds grace{0};
  for (const auto& core : cores_) grace = std::max(grace, core->options().grace);
  const Clock::time_point last = deadline_after(sum_of(sum_of(grace, grace), kBusyMachine));
  for (const auto& core : cores_)
    while (core->wait(last, Blocking::Caller::outsider) == Wait::interrupted) continue;
}

void set_lost_thread_reporter(LostThreadReporter tell) noexcept {
  // Release: whatever the reporter needs is there when it is first called.
  reporter.store(tell, std::memory_order_release);
}

}  // namespace osthread
