#include "run.hpp"

#include <cerrno>

#include "deadline.hpp"
#include "registry_slots.hpp"
#include "run_slot.hpp"
#include "state_end.h"

namespace osthread {

constinit thread_local RunSlot this_slot;

Run::Run(Vm& vm, Stop& stop, Kind kind) noexcept
    : vm_(vm), L_(vm.state()), stop_(stop), outer_(this_slot.innermost), kind_(kind) {
  vm.quota().set_look(&Run::look);
  if (!interrupt::reaches_running_code()) stop_.reach_through(&vm.quota());
  warned_at_ = kind == Kind::finalizers ? INT64_MIN / 2 : 0;  // a hook would not help
  open_.store(kind == Kind::chunk, std::memory_order_relaxed);
  this_slot.innermost = this;
  // A signal of the host that came before there was a run to look at it in: not for one that can't.
  const HostSignal before = kind == Kind::chunk ? take_host_signal() : HostSignal::none;
  if (before != HostSignal::none) {
    host_signal_at_ = before == HostSignal::came ? now_ns() : kOnlySuspected;
    host_signal_.store(true, std::memory_order_relaxed);
  }
  attend();  // what was asked before there was a run to hear it
}

Run::~Run() {
  finish();
  if (!interrupt::reaches_running_code()) stop_.reach_through(nullptr);
  this_slot.innermost = outer_;
  attend();  // an outer run's stop that this one has answered for itself only
}

Run* Run::current() noexcept { return this_slot.innermost; }
bool Run::in_call() noexcept {
  const Run* run = this_slot.innermost;
  return run && run->in_call_.load(std::memory_order_relaxed);
}

bool Run::is_in(const Vm& vm) noexcept {
  for (const Run* run = this_slot.innermost; run; run = run->outer_)
    if (&run->vm_ == &vm) return true;
  return false;
}

const RunSlot* Run::slot() noexcept { return &this_slot; }

void Run::finish() noexcept {
  if (!open_.load(std::memory_order_relaxed)) return;
  open_.store(false, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // a signal in between must not arm the hook again
  disarm();
}

void Run::attend() noexcept { attend(&this_slot); }

void Run::attend(const RunSlot* slot) noexcept {
  Run* run = slot->innermost;
  if (run == nullptr) return;
  if (run->stop_.look()) run->suspect();
  if (slot->setting_hook) return;
  if (!run->open_.load(std::memory_order_relaxed) || !run->wants_hook()) return;
  const Stop* owner;
  if (run->due(owner) == Due::first) {
    const int heard = owner->heard_.load(std::memory_order_relaxed);
    if (heard == 0) owner->heard_at_.store(now_ns(), std::memory_order_relaxed);
    owner->heard_.store(heard + 1, std::memory_order_release);  // release: the time is there with it
  }
  run->arm();
}

void Run::Uncut::set(bool uncut) noexcept {
  for (Run* run = this_slot.innermost; run; run = run->outer_)
    run->stop_.uncut_.store(uncut, std::memory_order_relaxed);
}

Run::Uncut::~Uncut() {
  set(false);
  Run* const run = this_slot.innermost;
  if (!run) return;
  const int saved = errno;
  // It may be the signal of the host that cut it, and of which we have not been told; the next one may last.
  if (saved == EINTR) run->stop_.look_if_due();
  if (!run->stop_.look_wanted()) return;
  attend();
  errno = saved;
}

Run::Interruptible::Interruptible() noexcept
    : run_(this_slot.innermost && this_slot.innermost->finalizing() ? this_slot.innermost : nullptr) {
  if (run_) run_->stop_.take_signals(true);
}

Run::Interruptible::~Interruptible() {
  if (run_) run_->stop_.take_signals(false);
}

Stop* Run::paused() const noexcept {
  for (const Run* run = this; run; run = run->outer_)
    if (run->stop_.paused_.load(std::memory_order_acquire)) return &run->stop_;
  return nullptr;
}

void Run::hold_while_paused(lua_State* L) noexcept {
  for (Stop* by = paused(); by; by = paused()) {
    listen(&stop_.waiter());
    by->held_.store(true, std::memory_order_release);
    by->holding_.wake_all();
    for (;;) {
      const Waiter::Ticket ticket = stop_.waiter().ticket();
      serve(L);
      if (!by->paused_.load(std::memory_order_acquire)) break;
      const Stop* owner;
      if (due(owner) != Due::nothing) break;  // a run around it is being stopped
      stop_.waiter().park(ticket, std::nullopt);
    }
    by->held_.store(false, std::memory_order_release);
    listen(nullptr);
    const Stop* owner;
    if (due(owner) != Due::nothing) return;
  }
}

// The outermost run that is asked to stop decides: the inner ones are on its way.
Run::Due Run::due(const Stop*& owner) const noexcept {
  owner = nullptr;
  for (const Run* run = this; run; run = run->outer_)
    if (run->stop_.reason() != StopReason::none) owner = &run->stop_;
  if (!owner) return Due::nothing;
  const Stop* left;
  if (leave_wanted(left) != Leave::no) return Due::relentless;
  if (raised_at_ == 0) return Due::first;
  return now_ns() - raised_at_ < owner->grace().count() ? Due::nothing : Due::relentless;
}

bool Run::requested() const noexcept {
  for (const Run* run = this; run; run = run->outer_)
    if (run->stop_.requested()) return true;
  return false;
}

bool Run::wants_hook() const noexcept {
  const Stop* owner;
  return exiting_ || overflowed_.load(std::memory_order_relaxed) ||
         host_signal_.load(std::memory_order_relaxed) || stop_.inspecting_.load(std::memory_order_acquire) ||
         due(owner) != Due::nothing || paused();
}

bool Run::stop_due() const noexcept {
  const Stop* owner;
  // Within the grace time of an interrupt waiting works as always: cleanup may need it.
  return due(owner) != Due::nothing || (!owner && requested());
}

bool Run::due_now(bool waiting) const noexcept { return wants_hook() || (waiting && stop_due()); }

void Run::listen(Waiter* waiter) noexcept {
  for (Run* run = this; run; run = run->outer_) run->stop_.park_on(waiter);
}

Run::Quiet::Quiet() noexcept : outer_(this_slot.setting_hook) {
  if (this_slot.innermost) this_slot.innermost->disarm();
  this_slot.setting_hook = true;
}

Run::Quiet::~Quiet() {
  this_slot.setting_hook = outer_;
  attend();
}

void Run::arm() noexcept {
  const lua_Hook now = lua_gethook(L_);
  if (now != &Run::hook) {
    users_hook_ = now;
    users_mask_ = lua_gethookmask(L_);
    users_count_ = lua_gethookcount(L_);
  }
  // Count: the only kind, with line, for which compiled code is left (LuaJIT built with CHECKHOOK).
  osthread_hook_next_instruction(L_, &Run::hook);
}

void Run::disarm() noexcept {
  const bool outer = this_slot.setting_hook;
  this_slot.setting_hook = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (lua_gethook(L_) == &Run::hook) lua_sethook(L_, users_hook_, users_mask_, users_count_);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  this_slot.setting_hook = outer;
}

void Run::answered() noexcept {
  disarm();
  attend();  // what came between the looking and the disarming; a signal of the host comes only once
}

void Run::hook(lua_State* L, lua_Debug*) {
  Run* run = this_slot.innermost;
  if (!run) return;
  run->in_hook_ = true;
  run->check(L, false);
  run->in_hook_ = false;
}

bool Run::interrupted() const noexcept {
  const Stop* owner;
  return due(owner) != Due::nothing;
}

void Run::serve(lua_State* L) noexcept {
  const Shield shield;
  stop_.serve_inspection(L);
  answer_host();
}

void Run::attend_to(lua_State* L) noexcept {
  serve(L);
  if (!paused()) return;
  const Shield shield;
  hold_while_paused(L);
}

void Run::check(lua_State* L, bool waiting) {
  attend_to(L);
  // Not for a time limit: where there is a hook, raising will do.
  const Stop* by;
  if (may_leave() && (overflowed_.load(std::memory_order_relaxed) || leave_wanted(by) == Leave::killed))
    leave(Left::by_kill);
  if (exiting_) raise(L, slot::kExit);
  const Stop* owner;
  const Due now = due(owner);
  if (now != Due::nothing && in_callback()) {
    // No error may skip the frames of the function that has called back: they may hold locks.
    disarm();  // and no attend(): it is still due, and is asked for again
    return;
  }
  switch (now) {
    case Due::first:
      note_raised(*owner);
      answered();
      raise(L, slot::kStop);
    case Due::relentless:
      if (raised_at_ == 0) note_raised(*owner);
      relentless_ = true;
      raise(L, slot::kStop);
    case Due::nothing:
      break;
  }
  answered();
  if (waiting && !owner && requested() && !in_callback()) {
    request_raised_ = true;
    raise(L, slot::kStop);
  }
}

std::optional<Clock::time_point> Run::wait_at_most(std::optional<Clock::time_point> deadline) const noexcept {
  const Stop* owner;
  if (raised_at_ == 0 || relentless_ || due(owner) != Due::nothing || !owner) return deadline;
  const Clock::time_point relentless = time_after(at_ns(raised_at_), owner->grace());
  return deadline ? std::min(*deadline, relentless) : relentless;
}

Waiter::Outcome Run::park(Waiter::Ticket ticket, std::optional<Clock::time_point> deadline) noexcept {
  const std::optional<Clock::time_point> until = wait_at_most(deadline);
  const Waiter::Outcome outcome = stop_.waiter().park(ticket, until);
  return outcome == Waiter::Outcome::timed_out && until != deadline ? Waiter::Outcome::interrupted : outcome;
}

void Run::exit(lua_State* L) {
  exiting_ = true;
  attend();
  raise(L, slot::kExit);
}

void Run::note_raised(const Stop& owner) noexcept {
  why_ = owner.reason();
  limit_ = owner.limit();
  raised_at_ = now_ns();
  if (&owner == &stop_) stop_.raised_at_.store(raised_at_, std::memory_order_relaxed);
}

void Run::raise_again() noexcept {
  raised_at_ = 0;
  relentless_ = false;
  stop_.raised_at_.store(0, std::memory_order_relaxed);  // whoever asks goes on asking
}

void Run::raise(lua_State* L, int slot) {
  // The message handler of an xpcall runs on top of this frame, and shall be stopped as well.
  if (in_hook_) osthread_leave_hook(L);
  in_hook_ = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
  lua_error(L);
  __builtin_unreachable();
}

}  // namespace osthread
