// How a run is left for good: whether it is wanted, whether it can be from where the thread stands, and how.
#include "c_stack.h"
#include "counted_call.hpp"
#include "deadline.hpp"
#include "leaving.h"
#include "run_slot.hpp"
#include "safe_point.h"
#include "stack_guard.hpp"

namespace osthread {

bool Run::call(void (*body)(void*), void* context) {
  const Stop* owner;
  if (leave_wanted(owner) == Leave::killed) {  // before it began
    left_ = Left::by_kill;
  } else {
    const bool setting_hook = this_slot.setting_hook;
    in_call_.store(true, std::memory_order_relaxed);
    const bool returned = landing_.call(body, context);
    in_call_.store(false, std::memory_order_relaxed);
    if (overflowed_.load(std::memory_order_relaxed)) {
      overflowed_.store(false, std::memory_order_relaxed);
      stack_guard::close_room();
    }
    if (returned) return true;
    this_slot.setting_hook = setting_hook;
    Uncut::set(false);  // it may have been left while it read
  }
  shields_.store(0, std::memory_order_relaxed);
  callback_.store(0, std::memory_order_relaxed);
  open_.store(false, std::memory_order_relaxed);
  const Leave wanted = leave_wanted(owner);
  if (left_ != Left::by_overflow) {
    left_ = wanted == Leave::limit ? Left::by_limit : owner ? Left::by_kill : Left::by_host;
    left_for_outer_ = owner && owner != &stop_;
  }
  if (owner) {
    why_ = owner->reason();
    limit_ = owner->limit();
  }
  return false;
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

bool Run::leaving() const noexcept {
  const Stop* owner;
  return overflowed_.load(std::memory_order_relaxed) || leave_wanted(owner) != Leave::no;
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
  // An error may have skipped a callback's end: its frame lies below, or is in its coroutine's chain no more.
  if (run && run->in_callback() &&
      (run->callback_.load(std::memory_order_relaxed) < stack_pointer ||
       (osthread_is_safe_point(run->L_, program_counter) &&
        osthread_callback_is_over(run->L_, run->callback_state_, run->callback_cframe_))))
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

Run::Aside::Aside() noexcept
    : run_(this_slot.innermost), outer_(run_ && run_->aside_), raised_before_(run_ && run_->raised()) {
  if (run_) run_->aside_ = true;
}

Run::Aside::~Aside() {
  if (!run_) return;
  run_->aside_ = outer_;
  if (!raised_before_ && run_->raised()) run_->raise_again();
}

}  // namespace osthread

void osthread_enter_callback(std::uintptr_t frame, lua_State* L, const void* cframe) {
  osthread::Run::enter_callback(frame, L, cframe);
}
void osthread_leave_callback(std::uintptr_t frame) { osthread::Run::leave_callback(frame); }
void osthread_leave_if_asked() { osthread::Run::leave_if_asked(); }
