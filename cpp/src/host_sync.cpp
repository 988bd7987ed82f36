#include "host.hpp"
#include "shared_buffer_core.hpp"
#include "sync_core.hpp"

namespace osthread::host {
namespace {

template <class Handle>
Wait acquire(const Handle& handle, std::optional<Clock::time_point> deadline) {
  handle.core().require_own_process();
  return handle.core().acquire(Blocking::Caller::host, deadline);
}

}  // namespace

Wait acquire(const Lock& lock, std::optional<Clock::time_point> deadline) {
  return acquire<Lock>(lock, deadline);
}

Wait acquire(const Semaphore& semaphore, std::optional<Clock::time_point> deadline) {
  return acquire<Semaphore>(semaphore, deadline);
}

std::uint64_t times_set(const Event& event) {
  event.core().require_own_process();
  return event.core().times_set();
}

Wait wait(const Event& event, std::uint64_t since, std::optional<Clock::time_point> deadline) {
  event.core().require_own_process();
  return event.core().wait(since, Blocking::Caller::host, deadline);
}

Wait wait(const SharedBuffer& buffer, std::size_t index, const Value& old,
          std::optional<Clock::time_point> deadline) {
  return buffer.core().wait(index, old, Blocking::Caller::host, deadline);
}

struct BarrierArrival::State {
  Barrier barrier;
  BarrierCore::Arrival arrival;
};

BarrierArrival::BarrierArrival(const Barrier& barrier) {
  barrier.core().require_own_process();
  state_ = std::make_unique<State>(State{barrier, barrier.core().arrive()});
}

BarrierArrival::~BarrierArrival() {
  if (state_) (void)leave();
}

Wait BarrierArrival::wait(std::optional<Clock::time_point> deadline) {
  return state_->barrier.core().wait(state_->arrival, Blocking::Caller::host, deadline);
}

std::optional<std::size_t> BarrierArrival::leave() {
  const std::unique_ptr<State> state = std::move(state_);
  return state->barrier.core().leave(state->arrival);
}

}  // namespace osthread::host
