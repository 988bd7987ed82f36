#include "osthread/sync.hpp"

#include "shared_handle_parts.hpp"
#include "sync_core.hpp"

namespace osthread {
namespace {

using Deadline = std::optional<Clock::time_point>;

template <class Core>
bool acquire(Core& core, Deadline deadline) {
  core.require_own_process();
  return persist([&] { return core.acquire(Blocking::Caller::host, deadline); }) == Wait::over;
}

template <class Core>
bool try_acquire(Core& core) {
  core.require_own_process();
  return core.try_acquire();
}

std::size_t wait(BarrierCore& core, Deadline deadline) {
  core.require_own_process();
  const BarrierCore::Arrival arrival = core.arrive();
  Wait wait = Wait::interrupted;  // a signal of the host is not ours to answer
  while (wait == Wait::interrupted) wait = core.wait(arrival, Blocking::Caller::host, deadline);
  const std::optional<std::size_t> index = core.leave(arrival);
  if (index) return *index;
  if (wait == Wait::stopped) std::rethrow_exception(stopped_in_wait());
  throw BrokenBarrier(BrokenBarrier::kBroken);
}

}  // namespace

template class SharedHandle<LockCore>;
template class SharedHandle<SemaphoreCore>;
template class SharedHandle<BarrierCore>;
template class SharedHandle<EventCore>;

BrokenBarrier::~BrokenBarrier() = default;
BrokenBarrier::BrokenBarrier(const BrokenBarrier&) = default;

Lock::Lock() : SharedHandle(Adopted{}, new LockCore) {}
void Lock::acquire() { (void)osthread::acquire(core(), std::nullopt); }
bool Lock::acquire_for(std::chrono::nanoseconds timeout) {
  return osthread::acquire(core(), deadline_after(timeout));
}
bool Lock::try_acquire() { return osthread::try_acquire(core()); }
void Lock::release() {
  core().require_own_process();
  if (!core().release()) throw std::logic_error("nobody holds this lock");
}
bool Lock::locked() const noexcept { return core().locked(); }
bool Lock::abandoned() const noexcept { return core().abandoned(); }
Lock Lock::from_value(const Value& value) { return Lock(Adopted{}, core_of(value, "Lock")); }

Semaphore::Semaphore(std::size_t value) : SharedHandle(Adopted{}, new SemaphoreCore(value)) {}
void Semaphore::acquire() { (void)osthread::acquire(core(), std::nullopt); }
bool Semaphore::acquire_for(std::chrono::nanoseconds timeout) {
  return osthread::acquire(core(), deadline_after(timeout));
}
bool Semaphore::try_acquire() { return osthread::try_acquire(core()); }
void Semaphore::release(std::size_t count) {
  core().require_own_process();
  core().release(count);
}
std::size_t Semaphore::value() const noexcept { return core().value(); }
Semaphore Semaphore::from_value(const Value& value) {
  return Semaphore(Adopted{}, core_of(value, "Semaphore"));
}

Barrier::Barrier(std::size_t parties) : SharedHandle(Adopted{}, new BarrierCore(parties)) {}
std::size_t Barrier::wait() { return osthread::wait(core(), std::nullopt); }
std::size_t Barrier::wait_for(std::chrono::nanoseconds timeout) {
  return osthread::wait(core(), deadline_after(timeout));
}
void Barrier::reset() {
  core().require_own_process();
  core().reset();
}
void Barrier::abort() {
  core().require_own_process();
  core().abort();
}
std::size_t Barrier::parties() const noexcept { return core().parties(); }
std::size_t Barrier::waiting() const noexcept { return core().waiting(); }
bool Barrier::broken() const noexcept { return core().broken(); }
Barrier Barrier::from_value(const Value& value) { return Barrier(Adopted{}, core_of(value, "Barrier")); }

Event::Event() : SharedHandle(Adopted{}, new EventCore) {}
void Event::set() {
  core().require_own_process();
  core().set();
}
void Event::clear() {
  core().require_own_process();
  core().clear();
}
bool Event::is_set() const noexcept { return core().is_set(); }
void Event::wait() {
  core().require_own_process();
  const std::uint64_t since = core().times_set();
  persist([&] { return core().wait(since, Blocking::Caller::host, std::nullopt); });
}
bool Event::wait_for(std::chrono::nanoseconds timeout) {
  core().require_own_process();
  const Clock::time_point deadline = deadline_after(timeout);
  const std::uint64_t since = core().times_set();
  return persist([&] { return core().wait(since, Blocking::Caller::host, deadline); }) == Wait::over;
}
Event Event::from_value(const Value& value) { return Event(Adopted{}, core_of(value, "Event")); }

}  // namespace osthread
