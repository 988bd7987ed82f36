#include "run.hpp"

#include <algorithm>
#include <utility>

#include "c_stack.h"
#include "counted_call.hpp"
#include "frames.hpp"
#include "leaving.h"
#include "registry_slots.hpp"
#include "safe_point.h"
#include "stack_guard.hpp"
#include "state_end.h"

namespace osthread {
namespace {

// initial-exec: a handler may read it on any thread, and the first access to a dynamic one may call malloc.
#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local RunSlot this_slot;

std::atomic<bool (*)(Stop&)> host_check{nullptr};

std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

Clock::time_point at_ns(std::int64_t ns) noexcept {
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(ns)));
}

Clock::time_point later(Clock::time_point time, std::chrono::nanoseconds by) noexcept {
  return by > Clock::time_point::max() - time ? Clock::time_point::max() : time + by;
}

}  // namespace

void Stop::open() noexcept {
  const std::lock_guard lock(mutex_);
  open_ = true;
  finalizing_.store(false, std::memory_order_relaxed);
  leave_.store(Leave::no, std::memory_order_relaxed);
  uncut_.store(false, std::memory_order_relaxed);
  heard_.store(0, std::memory_order_relaxed);
  overdue_since_.store(0, std::memory_order_relaxed);
  paused_.store(false, std::memory_order_relaxed);
  reason_.store(StopReason::none, std::memory_order_relaxed);
  requested_.store(false, std::memory_order_relaxed);
  raised_at_.store(0, std::memory_order_relaxed);
}

void Stop::bind(interrupt::Target target) noexcept {
  const std::lock_guard lock(mutex_);
  target_ = target;
}

void Stop::unbind() noexcept {
  const std::lock_guard lock(mutex_);
  target_.reset();
}

void Stop::take_signals(bool taken) noexcept {
  const std::lock_guard lock(mutex_);
  finalizing_.store(!taken, std::memory_order_relaxed);
}

void Stop::close() noexcept {
  const std::lock_guard lock(mutex_);
  open_ = false;
  target_.reset();
  if (paused_.exchange(false, std::memory_order_acq_rel)) holding_.wake_all();
  if (inspection_) {
    inspection_->done.store(true, std::memory_order_release);
    inspection_->waiter.wake_all();
    inspection_.reset();
  }
}

bool Stop::request() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_) return false;
  asked_.fetch_add(1, std::memory_order_relaxed);
  const bool first = !requested_.exchange(true, std::memory_order_relaxed);
  if (paused_.exchange(false, std::memory_order_acq_rel)) holding_.wake_all();
  wake();
  return first;
}

bool Stop::ask(StopReason reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || !note_asked(reason)) return false;
  deliver_locked();
  return true;
}

bool Stop::kill() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || !Run::can_be_left() || leave() == Leave::killed) return false;
  note_asked(StopReason::interrupt);  // for what can't leave at once: it is told that it is being stopped
  leave_since_ = Clock::now();
  leave_.store(Leave::killed, std::memory_order_release);
  deliver_locked();
  return true;
}

bool Stop::pause() noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || finalizing_ || reason() != StopReason::none || requested()) return false;
  if (paused_.exchange(true, std::memory_order_acq_rel)) return false;
  deliver_locked();
  return true;
}

bool Stop::resume() noexcept {
  const std::lock_guard lock(mutex_);
  if (!paused_.exchange(false, std::memory_order_acq_rel)) return false;
  wake();
  holding_.wake_all();
  return true;
}

bool Stop::note_asked(StopReason reason) noexcept {
  asked_.fetch_add(1, std::memory_order_relaxed);
  if (paused_.exchange(false, std::memory_order_acq_rel)) holding_.wake_all();
  StopReason none = StopReason::none;
  if (reason_.load(std::memory_order_relaxed) == StopReason::none)
    asked_at_.store(now_ns(), std::memory_order_relaxed);
  return reason_.compare_exchange_strong(none, reason, std::memory_order_release, std::memory_order_relaxed);
}

std::optional<Clock::time_point> Stop::deliver() noexcept {
  const std::lock_guard lock(mutex_);
  return deliver_locked();
}

std::optional<Clock::time_point> Stop::deliver_locked() noexcept {
  if (!open_ || !target_) return std::nullopt;
  const Clock::time_point now = Clock::now();
  if (reason() == StopReason::none) {
    if (!paused_.load(std::memory_order_relaxed) || held()) return std::nullopt;
    if (!uncut_.load(std::memory_order_relaxed)) poke();
    return now + kAskAgain;
  }
  const Clock::time_point leaving = leaving_at();
  if (leave() == Leave::no && now >= leaving) {
    leave_since_ = now;
    leave_.store(Leave::limit, std::memory_order_release);
  }
  if (leave() != Leave::no) {
    poke();
    // Most leave at once. One that does not is in code of others, which so many signals would only hinder.
    return now + (now - leave_since_ < 10 * kAskAgain ? kLeaveAgain : kAskAgain);
  }
  if (finalizing_) {
    wake();
    if (leaving == Clock::time_point::max()) return std::nullopt;
    return leaving;
  }
  const std::optional<Clock::time_point> relentless = relentless_at();
  if (relentless && now < *relentless) return std::min(*relentless, leaving);
  poke();
  return std::min(now + kAskAgain, leaving);
}

std::optional<Clock::time_point> Stop::relentless_at() const noexcept {
  const std::int64_t raised = raised_at_.load(std::memory_order_relaxed);
  if (raised == 0) return std::nullopt;
  return later(at_ns(raised), grace_);
}

Clock::time_point Stop::answered_by(std::chrono::nanoseconds grace) const noexcept {
  // The first time may have been the last moment of a thread's turn on a CPU, the second the first of its
  // next.
  constexpr int kEnough = 3;
  const std::chrono::nanoseconds time = std::max<std::chrono::nanoseconds>(grace, kAnswer);
  const Clock::time_point asked = at_ns(asked_at_.load(std::memory_order_relaxed));
  if (finalizing_) return later(asked, time);  // it is not interrupted at all
  if (heard_.load(std::memory_order_acquire) < kEnough) return later(later(asked, time), kBusyMachine);
  return later(at_ns(heard_at_.load(std::memory_order_relaxed)), time);
}

// A time limit holds whatever the code does; an interrupt alone goes on asking.
Clock::time_point Stop::leaving_at() const noexcept {
  const std::int64_t overdue = overdue_since_.load(std::memory_order_relaxed);
  if (overdue == 0 || !Run::can_be_left()) return Clock::time_point::max();
  const std::optional<Clock::time_point> relentless = relentless_at();
  const Clock::time_point leaving = relentless ? later(*relentless, kUnwinding) : answered_by(grace_);
  // An interrupt may have come before it; the code has its grace time from the deadline on all the same.
  return std::max(leaving, later(at_ns(overdue), grace_));
}

void Stop::park_on(Waiter* other) noexcept {
  const std::lock_guard lock(mutex_);
  other_ = other;
}

void Stop::wake() noexcept {
  waiter_.wake_all();
  if (other_) other_->wake_all();
}

void Stop::poke() noexcept {
  wake();
  if (target_) interrupt::poke(*target_);
  if (quota_) quota_->look_soon();
}

void Stop::reach_through(MemoryQuota* quota) noexcept {
  const std::lock_guard lock(mutex_);
  quota_ = quota;
}

bool Stop::set_deadline(Clock::time_point deadline, std::chrono::nanoseconds limit) noexcept {
  const std::lock_guard lock(mutex_);
  limit_.store(limit.count(), std::memory_order_relaxed);
  deadline_ = deadline;
  if (watched_ <= deadline) return false;
  watched_ = deadline;
  return true;
}

void Stop::clear_deadline() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = Clock::time_point::max();
}

void Stop::forget_watch() noexcept {
  const std::lock_guard lock(mutex_);
  deadline_ = watched_ = Clock::time_point::max();
}

std::optional<Clock::time_point> Stop::watch() noexcept {
  // All under one lock: a call that ends in between must not hand its timeout to the next one.
  const std::lock_guard lock(mutex_);
  if (deadline_ != Clock::time_point::max() && Clock::now() < deadline_) {
    watched_ = deadline_;
    return deadline_;
  }
  if (deadline_ != Clock::time_point::max() && open_) {
    overdue_since_.store(now_ns(), std::memory_order_relaxed);
    note_asked(StopReason::deadline);
  }
  deadline_ = Clock::time_point::max();
  const std::optional<Clock::time_point> again = deliver_locked();  // and so on until the run has ended
  watched_ = again.value_or(Clock::time_point::max());
  return again;
}

std::optional<std::vector<Frame>> Stop::inspect(Clock::time_point deadline) {
  std::shared_ptr<Inspection> inspection;
  {
    const std::lock_guard lock(mutex_);
    if (!open_ || !target_) return std::nullopt;
    if (!inspection_) inspection_ = std::make_shared<Inspection>();
    inspection = inspection_;
    inspecting_.store(true, std::memory_order_release);
  }
  while (!inspection->done.load(std::memory_order_acquire)) {
    const Waiter::Ticket ticket = inspection->waiter.ticket();
    if (inspection->done.load(std::memory_order_acquire)) break;
    {
      const std::lock_guard lock(mutex_);
      if (!uncut_.load(std::memory_order_relaxed)) poke();
    }
    const Clock::time_point now = Clock::now();
    if (now >= deadline) return std::nullopt;
    inspection->waiter.park(ticket, std::min(deadline, now + kAskAgain));
  }
  if (inspection->frames.empty()) return std::nullopt;
  return inspection->frames;
}

void Stop::serve_inspection(lua_State* L) noexcept {
  if (!inspecting_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  inspecting_.store(false, std::memory_order_relaxed);
  if (!inspection_) return;
  try {
    inspection_->frames = collect_frames(L, 0);
  } catch (const std::bad_alloc&) {
    inspection_->frames.clear();  // whoever asks is told, if not all
  }
  inspection_->done.store(true, std::memory_order_release);
  inspection_->waiter.wake_all();
  inspection_.reset();
}

Run::Run(Vm& vm, Stop& stop, Kind kind) noexcept
    : vm_(vm), L_(vm.state()), stop_(stop), outer_(this_slot.innermost), kind_(kind) {
  vm.quota().set_look(&Run::look);
  if (!interrupt::reaches_running_code()) stop_.reach_through(&vm.quota());
  warned_at_ = kind == Kind::finalizers ? INT64_MIN / 2 : 0;  // a hook would not help
  open_.store(kind == Kind::chunk, std::memory_order_relaxed);
  this_slot.innermost = this;
  // A signal of the host that came before there was a run to look at it in: not for one that can't.
  if (kind == Kind::chunk && take_host_signal()) {
    host_signal_at_ = now_ns();
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

bool Run::can_be_left() noexcept { return osthread_has_safe_points() && interrupt::reaches_running_code(); }

bool Run::call(void (*body)(void*), void* context) {
  const Stop* owner;
  if (leave_wanted(owner) == Leave::killed) {  // before it began
    left_ = Left::by_kill;
  } else {
    const bool setting_hook = this_slot.setting_hook;
    in_call_.store(true, std::memory_order_relaxed);
    const bool returned = landing_.call(body, context);
    in_call_.store(false, std::memory_order_relaxed);
    if (overflowed_.exchange(false, std::memory_order_relaxed)) stack_guard::close_room();
    if (returned) return true;
    this_slot.setting_hook = setting_hook;
  }
  shields_.store(0, std::memory_order_relaxed);
  callback_.store(0, std::memory_order_relaxed);
  open_.store(false, std::memory_order_relaxed);
  const Leave wanted = leave_wanted(owner);
  if (left_ != Left::by_overflow) left_ = wanted == Leave::limit ? Left::by_limit : Left::by_kill;
  if (owner) {
    why_ = owner->reason();
    limit_ = owner->limit();
  }
  return false;
}

Run* Run::current() noexcept { return this_slot.innermost; }
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
  if (run == nullptr || slot->setting_hook) return;
  if (!run->open_.load(std::memory_order_relaxed) || !run->wants_hook()) return;
  const Stop* owner;
  if (run->due(owner) == Due::first) {
    const int heard = owner->heard_.load(std::memory_order_relaxed);
    if (heard == 0) owner->heard_at_.store(now_ns(), std::memory_order_relaxed);
    owner->heard_.store(heard + 1, std::memory_order_release);  // release: the time is there with it
  }
  run->arm();
}

// The outermost run that is to be left decides.
Leave Run::leave_wanted(const Stop*& owner) const noexcept {
  owner = nullptr;
  Leave wanted = given_up_.load(std::memory_order_relaxed) ? Leave::killed : Leave::no;
  for (const Run* run = this; run; run = run->outer_) {
    const Leave leave = run->stop_.leave();
    if (leave == Leave::no) continue;
    owner = &run->stop_;
    wanted = leave;
  }
  return wanted;
}

// The state of a LuaState goes with a leave, so a time limit gives the hook one more chance: a thread may
// have been in a function of the host's, or without a CPU, all the while.
bool Run::leaves_now() noexcept {
  if (overflowed_.load(std::memory_order_relaxed)) return true;
  const Stop* owner;
  switch (leave_wanted(owner)) {
    case Leave::no:
      return false;
    case Leave::killed:
      return true;
    case Leave::limit:
      break;
  }
  const std::int64_t now = now_ns();
  if (warned_at_ == 0) warned_at_ = now;
  return now - warned_at_ >= std::chrono::nanoseconds(kAskAgain).count();
}

bool Run::may_leave() const noexcept { return may_leave(this_slot); }

bool Run::may_leave(const RunSlot& slot) const noexcept { return nothing_below(slot) && !vm_.quota().busy(); }

bool Run::nothing_below(const RunSlot& slot) const noexcept {
  return in_call_.load(std::memory_order_relaxed) && shields_.load(std::memory_order_relaxed) == 0 &&
         !in_callback() && !slot.setting_hook;
}

void Run::leave(Left how) noexcept {
  left_ = overflowed_.load(std::memory_order_relaxed) ? Left::by_overflow : how;
  landing_.leave();
}

bool Run::attend_at(const RunSlot* slot, std::uintptr_t program_counter,
                    std::uintptr_t stack_pointer) noexcept {
  Run* run = slot->innermost;
  // An error may have skipped a callback's end: its frame lies below, or is in the chain no more. (Another
  // coroutine than the first may be gone, too.)
  if (run && run->in_callback() &&
      (run->callback_.load(std::memory_order_relaxed) < stack_pointer ||
       (run->callback_state_ == run->L_ && osthread_is_safe_point(run->L_, program_counter) &&
        osthread_callback_is_over(run->L_, run->callback_cframe_))))
    run->callback_.store(0, std::memory_order_relaxed);
  attend(slot);
  if (!run || !run->leaving()) return false;
  if (run->may_leave(*slot) && osthread_is_safe_point(run->L_, program_counter) && run->leaves_now())
    return true;
  // Not here: then where LuaJIT next calls us.
  run->leave_soon_.store(true, std::memory_order_relaxed);
  run->vm_.quota().look_soon();
  return false;
}

void Run::leave_here() noexcept { this_slot.innermost->leave(Left::by_kill); }

bool Run::overflow_at(std::uintptr_t program_counter, bool anywhere) noexcept {
  Run* run = this_slot.innermost;
  if (!run || !run->nothing_below(this_slot)) return false;
  if (!anywhere && !osthread_is_safe_point(run->L_, program_counter)) return false;
  run->overflowed_.store(true, std::memory_order_relaxed);
  return true;
}

void Run::leave_for_overflow() noexcept {
  Run* run = this_slot.innermost;
  if (!run) return;
  run->overflowed_.store(true, std::memory_order_relaxed);
  run->leave_soon_.store(true, std::memory_order_relaxed);
  run->vm_.quota().look_soon();
  attend();
}

// The allocator's caller is a part of LuaJIT that holds nothing but memory of the state.
void Run::look(MemoryQuota& quota) noexcept {
  attend();
  Run* run = this_slot.innermost;
  if (run && &run->vm_.quota() == &quota) leave_if_asked();
}

void Run::leave_if_asked() noexcept {
  Run* run = this_slot.innermost;
  if (run && run->leave_soon_.load(std::memory_order_relaxed) && run->may_leave() && run->leaves_now())
    run->leave(Left::by_kill);
}

int Run::enter_c_function(lua_State* L, lua_CFunction function) {
  const std::uintptr_t reserve =  // as in call_bundled.c
      lua_status(L) == LUA_ERRERR ? OSTHREAD_C_STACK_LAST : OSTHREAD_C_STACK_RESERVE;
  if (osthread_near_stack_end(__builtin_frame_address(0), reserve)) return luaL_error(L, "C stack overflow");
  // Some of LuaJIT's own look like anybody's (those of lib_package.c).
  if (osthread_is_safe_text(reinterpret_cast<std::uintptr_t>(function))) return function(L);
  leave_if_asked();
  Run* run = this_slot.innermost;
  if (!run) return function(L);
  return call_counted(run->shields_, L, function);
}

void Run::enter_callback(std::uintptr_t frame, lua_State* L, const void* cframe) noexcept {
  Run* run = this_slot.innermost;
  if (!run || run->callback_.load(std::memory_order_relaxed) >= frame) return;
  run->callback_state_ = L;
  run->callback_cframe_ = cframe;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // a handler that sees the frame sees the rest
  run->callback_.store(frame, std::memory_order_relaxed);
}

void Run::leave_callback(std::uintptr_t frame) noexcept {
  // The outermost one's is the same frame as at its entry, or nearly so: a callback within it lies deeper.
  constexpr std::uintptr_t kSameFrame = 128;
  Run* run = this_slot.innermost;
  if (run && run->callback_.load(std::memory_order_relaxed) <= frame + kSameFrame)
    run->callback_.store(0, std::memory_order_relaxed);
}

void Run::Uncut::set(bool uncut) noexcept {
  for (Run* run = this_slot.innermost; run; run = run->outer_)
    run->stop_.uncut_.store(uncut, std::memory_order_relaxed);
}

Run::Interruptible::Interruptible() noexcept
    : run_(this_slot.innermost && this_slot.innermost->finalizing() ? this_slot.innermost : nullptr) {
  if (run_) run_->stop_.take_signals(true);
}

Run::Interruptible::~Interruptible() {
  if (run_) run_->stop_.take_signals(false);
}

bool Run::leaving() const noexcept {
  const Stop* owner;
  return overflowed_.load(std::memory_order_relaxed) || leave_wanted(owner) != Leave::no;
}

Run::Shield::Shield() noexcept : run_(this_slot.innermost) {
  if (run_)
    run_->shields_.store(run_->shields_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // before what it shields
}

Run::Shield::~Shield() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (run_)
    run_->shields_.store(run_->shields_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

Run::Open::Open() noexcept : run_(this_slot.innermost) {
  if (run_)
    run_->shields_.store(run_->shields_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

Run::Open::~Open() {
  if (run_)
    run_->shields_.store(run_->shields_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
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
  lua_sethook(L_, &Run::hook, LUA_MASKCOUNT, 1);
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

void Run::answer_host() noexcept {
  given_up_.store(false, std::memory_order_relaxed);
  if (host_signal_.exchange(false, std::memory_order_relaxed)) {
    const auto check = host_check.load(std::memory_order_acquire);
    if (check) check(stop_);
  }
}

void Run::check(lua_State* L, bool waiting) {
  serve(L);
  if (paused()) {
    const Shield shield;
    hold_while_paused(L);
  }
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

Waiter::Outcome Run::park(Waiter::Ticket ticket, std::optional<Clock::time_point> deadline) noexcept {
  const Stop* owner;
  if (raised_at_ != 0 && !relentless_ && due(owner) == Due::nothing && owner) {
    const Clock::time_point relentless = later(at_ns(raised_at_), owner->grace());
    if (!deadline || relentless < *deadline) {
      const Waiter::Outcome outcome = stop_.waiter().park(ticket, relentless);
      return outcome == Waiter::Outcome::timed_out ? Waiter::Outcome::interrupted : outcome;
    }
  }
  return stop_.waiter().park(ticket, deadline);
}

void Run::exit(lua_State* L) {
  exiting_ = true;
  attend();
  raise(L, slot::kExit);
}

}  // namespace osthread

void osthread_enter_callback(std::uintptr_t frame, lua_State* L, const void* cframe) {
  osthread::Run::enter_callback(frame, L, cframe);
}
void osthread_leave_callback(std::uintptr_t frame) { osthread::Run::leave_callback(frame); }
void osthread_leave_if_asked() { osthread::Run::leave_if_asked(); }

namespace osthread {

void Run::note_raised(const Stop& owner) noexcept {
  why_ = owner.reason();
  limit_ = owner.limit();
  raised_at_ = now_ns();
  if (&owner == &stop_) stop_.raised_at_.store(raised_at_, std::memory_order_relaxed);
}

void Run::raise(lua_State* L, int slot) {
  // The message handler of an xpcall runs on top of this frame, and shall be stopped as well.
  if (in_hook_) osthread_leave_hook(L);
  in_hook_ = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, slot);
  lua_error(L);
  __builtin_unreachable();
}

void Run::note_host_signal() noexcept {
  this_slot.signalled.store(true, std::memory_order_relaxed);
  if (Waiter* waiter = this_slot.parked_on) waiter->wake_all();
  Run* run = this_slot.innermost;
  if (run == nullptr) return;
  const std::int64_t now = now_ns();
  if (!run->host_signal_.exchange(true, std::memory_order_relaxed)) run->host_signal_at_ = now;
  run->stop_.waiter().wake_all();
  attend();
  // No hook runs, in a finalizer or in one call that has no end: whoever asks again, later, means it.
  constexpr std::int64_t kLater = std::chrono::nanoseconds(std::chrono::milliseconds(100)).count();
  if (now - run->host_signal_at_ < kLater || !can_be_left()) return;
  run->given_up_.store(true, std::memory_order_relaxed);
  run->leave_soon_.store(true, std::memory_order_relaxed);
  run->vm_.quota().look_soon();
  interrupt::poke_this_thread();
}

void Run::note_parked_on(Waiter* waiter) noexcept {
  this_slot.parked_on = waiter;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // before the ticket is taken
}

bool Run::take_host_signal() noexcept {
  return this_slot.signalled.exchange(false, std::memory_order_relaxed);
}

bool Run::host_wants_out() noexcept {
  if (!take_host_signal()) return false;
  const auto check = host_check.load(std::memory_order_acquire);
  const auto nothing_to_stop = std::make_shared<Stop>(std::chrono::nanoseconds(0));
  return check && check(*nothing_to_stop);
}

void Run::set_host_check(bool (*check)(Stop&)) noexcept {
  host_check.store(check, std::memory_order_release);
}

}  // namespace osthread
