#include "run.hpp"

#include "frames.hpp"
#include "registry_slots.hpp"
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

}  // namespace

void Stop::open() noexcept {
  const std::lock_guard lock(mutex_);
  open_ = true;
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

void Stop::close() noexcept {
  const std::lock_guard lock(mutex_);
  open_ = false;
  target_.reset();
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
  wake();
  return first;
}

bool Stop::ask(StopReason reason) noexcept {
  const std::lock_guard lock(mutex_);
  if (!open_ || !note_asked(reason)) return false;
  deliver_locked();
  return true;
}

bool Stop::note_asked(StopReason reason) noexcept {
  asked_.fetch_add(1, std::memory_order_relaxed);
  StopReason none = StopReason::none;
  return reason_.compare_exchange_strong(none, reason, std::memory_order_release, std::memory_order_relaxed);
}

std::optional<Clock::time_point> Stop::deliver() noexcept {
  const std::lock_guard lock(mutex_);
  return deliver_locked();
}

std::optional<Clock::time_point> Stop::deliver_locked() noexcept {
  if (!open_ || !target_ || reason() == StopReason::none) return std::nullopt;
  const Clock::time_point now = Clock::now();
  if (const std::int64_t raised = raised_at_.load(std::memory_order_relaxed)) {
    const Clock::time_point relentless = at_ns(raised) + grace_;
    if (now < relentless) return relentless;
  }
  poke();
  return now + kAskAgain;
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
  if (deadline_ != Clock::time_point::max() && open_) note_asked(StopReason::deadline);
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
      poke();
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
  inspection_->frames = collect_frames(L, 0);
  inspection_->done.store(true, std::memory_order_release);
  inspection_->waiter.wake_all();
  inspection_.reset();
}

Run::Run(lua_State* L, Stop& stop) noexcept : L_(L), stop_(stop), outer_(this_slot.innermost) {
  open_.store(true, std::memory_order_relaxed);
  this_slot.innermost = this;
  // A signal of the host that came before there was a run to look at it in.
  if (take_host_signal()) host_signal_.store(true, std::memory_order_relaxed);
  attend();  // what was asked before there was a run to hear it
}

Run::~Run() {
  finish();
  this_slot.innermost = outer_;
  attend();  // an outer run's stop that this one has answered for itself only
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
  if (run->open_.load(std::memory_order_relaxed) && run->wants_hook()) run->arm();
}

// The outermost run that is asked to stop decides: the inner ones are on its way.
Run::Due Run::due(const Stop*& owner) const noexcept {
  owner = nullptr;
  for (const Run* run = this; run; run = run->outer_)
    if (run->stop_.reason() != StopReason::none) owner = &run->stop_;
  if (!owner) return Due::nothing;
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
  return exiting_ || host_signal_.load(std::memory_order_relaxed) ||
         stop_.inspecting_.load(std::memory_order_acquire) || due(owner) != Due::nothing;
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

void Run::serve(lua_State* L) noexcept {
  stop_.serve_inspection(L);
  if (host_signal_.exchange(false, std::memory_order_relaxed)) {
    const auto check = host_check.load(std::memory_order_acquire);
    if (check) check(stop_);
  }
}

void Run::check(lua_State* L, bool waiting) {
  serve(L);
  if (exiting_) raise(L, slot::kExit);
  const Stop* owner;
  switch (due(owner)) {
    case Due::first:
      note_raised(*owner);
      answered();
      raise(L, slot::kStop);
    case Due::relentless:
      relentless_ = true;
      raise(L, slot::kStop);
    case Due::nothing:
      break;
  }
  answered();
  if (waiting && !owner && requested()) {
    request_raised_ = true;
    raise(L, slot::kStop);
  }
}

Waiter::Outcome Run::park(Waiter::Ticket ticket, std::optional<Clock::time_point> deadline) noexcept {
  const Stop* owner;
  if (raised_at_ != 0 && !relentless_ && due(owner) == Due::nothing && owner) {
    const Clock::time_point relentless = at_ns(raised_at_) + owner->grace();
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
  run->host_signal_.store(true, std::memory_order_relaxed);
  run->stop_.waiter().wake_all();
  attend();
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
