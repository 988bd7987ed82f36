#include "osthread/native_thread.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "native_thread_os.hpp"
#include "waiter.hpp"

namespace osthread {
namespace {

// Cuts before the character that does not fit whole: half of one would be garbage in top and gdb.
std::string cut_at_character(std::string_view text, std::size_t longest) {
  if (text.size() > longest) {
    const auto continues = [&](std::size_t i) {
      return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
    };
    std::size_t end = longest;
    while (end > 0 && continues(end)) --end;
    text = text.substr(0, end);
  }
  return std::string(text);
}

}  // namespace

// What thread and owner share; whoever is last frees it.
// Invariant: what comes before `gate` is written before the thread is made, and only read afterwards. `gate`
// is moved by the owner's side, once, away from closed; `progress` by the thread alone, and only forward, and
// the thread moves to finished as the last thing it does here. The answers are written by the thread before
// the step of `progress` that publishes them, and read by others after it. Every move of either is followed
// by a wake.
struct NativeThread::Shared {
  enum class Gate : std::uint8_t { closed, open, discarded };
  enum class Progress : std::uint8_t { preparing, prepared, refused, finished };

  Routine routine = nullptr;
  void* parameter = nullptr;
  std::string name;
  std::optional<Priority> priority;
  std::vector<int> affinity;
  std::uint64_t process = 0;
  std::size_t stack_size = 0;
  std::shared_ptr<Shared> self;  // the thread's share, until it begins to run and takes it

  std::atomic<Gate> gate{Gate::open};
  std::atomic<Progress> progress{Progress::preparing};
  Waiter changed;

  std::uint64_t native_id = 0;     // from prepared or refused on
  std::error_code priority_error;  // from refused on
  os::Pinned pinned;               // from refused on
  int exit_code = -1;              // from finished on

  // Of the thread itself.
  void run();
  bool prepare() noexcept;
  void advance(Progress step) noexcept {
    // Release: who sees the step must see the answers that belong to it. Every load of it acquires.
    progress.store(step, std::memory_order_release);
    changed.wake_all();
  }

  // Of the others.
  void wait_prepared() noexcept { wait_past(Progress::preparing, std::nullopt); }
  bool wait_finished(Clock::time_point deadline) noexcept { return wait_past(Progress::refused, deadline); }
  bool wait_past(Progress step, std::optional<Clock::time_point> deadline) noexcept;
  bool leave_gate(Gate where) noexcept;
  [[noreturn]] void throw_refusal() const;
};

bool NativeThread::Shared::wait_past(Progress step, std::optional<Clock::time_point> deadline) noexcept {
  for (;;) {
    const Waiter::Ticket ticket = changed.ticket();
    if (progress.load(std::memory_order_acquire) > step) return true;
    if (changed.park(ticket, deadline) == Waiter::Outcome::timed_out) return false;
  }
}

bool NativeThread::Shared::leave_gate(Gate where) noexcept {
  Gate expected = Gate::closed;
  // Release: what the owner wrote before start() is the routine's to read.
  const bool left =
      gate.compare_exchange_strong(expected, where, std::memory_order_release, std::memory_order_relaxed);
  if (left) changed.wake_all();
  return left;
}

// Each thing the thread sets of its own: that takes the system fewer calls than setting it from outside, and
// on macOS there is no other way.
bool NativeThread::Shared::prepare() noexcept {
  native_id = current_native_id();
  if (!name.empty()) os::set_name(name.c_str());
  if (priority) priority_error = os::set_priority(*priority);
  if (!priority_error && !affinity.empty()) pinned = os::set_affinity(affinity);
  const bool granted = !priority_error && !pinned.error;
  advance(granted ? Progress::prepared : Progress::refused);
  return granted;
}

void NativeThread::Shared::run() {
  // Also when the routine is left by pthread_exit(), as old Pythons do to a thread that takes the GIL of a
  // finalized interpreter: the owner must hear of it. An exception gets no further than its throw: nothing
  // catches it.
  struct Finish {
    Shared& shared;
    ~Finish() { shared.advance(Progress::finished); }
  } finish{*this};

  if (!prepare()) return;
  Gate where = Gate::closed;
  for (;;) {
    const Waiter::Ticket ticket = changed.ticket();
    where = gate.load(std::memory_order_acquire);
    if (where != Gate::closed) break;
    changed.park(ticket, std::nullopt);
  }
  if (where == Gate::open) exit_code = routine(parameter);
}

void NativeThread::Shared::throw_refusal() const {
  if (priority_error) throw std::system_error(priority_error, "can't set the thread's priority");
  const std::string what = pinned.cpu < 0 ? "can't set the thread's affinity"
                                          : "can't set the thread's affinity: no CPU " +
                                                std::to_string(pinned.cpu) + " for this process";
  throw std::system_error(pinned.error, what);
}

namespace {
thread_local std::uintptr_t own_stack = 0;
}  // namespace

std::uintptr_t os::own_stack_low() noexcept { return own_stack; }

void os::run_new_thread(void* argument) {
  // Moved here so that the thread's share lives until it is done, whatever the owner does meanwhile.
  const std::shared_ptr<NativeThread::Shared> shared =
      std::move(static_cast<NativeThread::Shared*>(argument)->self);
  if (shared->stack_size != 0)
    own_stack =
        reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) + kAlternateStack - shared->stack_size;
  shared->run();
}

NativeThread::NativeThread() noexcept = default;

NativeThread::NativeThread(Routine routine, void* parameter, const NativeThreadOptions& options) {
  if (routine == nullptr) throw std::invalid_argument("a thread needs a routine");
  if (options.stack_size != 0 && options.stack_size < kMinimumStackSize) {
    throw std::invalid_argument("stack_size is " + std::to_string(options.stack_size) +
                                " bytes, it needs at least " + std::to_string(kMinimumStackSize));
  }
  for (const int cpu : options.affinity) {
    if (cpu < 0) throw std::invalid_argument("affinity: there is no CPU " + std::to_string(cpu));
  }

  auto shared = std::make_shared<Shared>();
  shared->routine = routine;
  shared->parameter = parameter;
  shared->name = cut_at_character(options.name, os::longest_name());
  shared->priority = options.priority;
  shared->affinity = options.affinity;
  shared->process = os::process_id();
  shared->stack_size = options.stack_size != 0 ? options.stack_size : os::default_stack_size();
  shared->gate.store(options.suspended ? Shared::Gate::closed : Shared::Gate::open,
                     std::memory_order_relaxed);
  shared->self = shared;

  const os::MadeThread made = os::make_thread(shared.get(), options.stack_size);
  if (made.error) {
    shared->self.reset();
    throw ThreadCreationError(made.error, "can't start a new thread");
  }
  if (options.priority || !options.affinity.empty()) {
    shared->wait_prepared();
    if (shared->priority_error || shared->pinned.error) {
      os::join_thread(made.handle);
      shared->throw_refusal();
    }
  }
  shared_ = std::move(shared);
  handle_ = made.handle;
  ident_ = made.ident;
}

NativeThread::~NativeThread() { let_go(); }

NativeThread::NativeThread(NativeThread&& other) noexcept
    : shared_(std::move(other.shared_)),
      handle_(std::exchange(other.handle_, 0)),
      ident_(std::exchange(other.ident_, 0)) {}

NativeThread& NativeThread::operator=(NativeThread&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  shared_ = std::move(other.shared_);
  handle_ = std::exchange(other.handle_, 0);
  ident_ = std::exchange(other.ident_, 0);
  return *this;
}

void NativeThread::start() {
  require_joinable("start");
  // Held here: the routine may own this object, and destroy it before the wake has finished.
  const std::shared_ptr<Shared> shared = shared_;
  if (!shared->leave_gate(Shared::Gate::open))
    throw std::logic_error("start: the thread was started already");
}

void NativeThread::discard() {
  require_joinable("discard");
  if (!shared_->leave_gate(Shared::Gate::discarded))
    throw std::logic_error("discard: the thread was started already");
  join_now();
}

void NativeThread::join() {
  require_joinable("join");
  require_not_itself("join");
  if (is_suspended()) throw std::logic_error("join: the thread is suspended, start() or discard() it first");
  join_now();
}

bool NativeThread::join_until(Clock::time_point deadline) {
  require_joinable("join_until");
  require_not_itself("join_until");
  if (!shared_->wait_finished(deadline)) return false;
  join_now();
  return true;
}

void NativeThread::detach() {
  require_joinable("detach");
  if (is_suspended())
    throw std::logic_error("detach: the thread is suspended, start() or discard() it first");
  os::detach_thread(std::exchange(handle_, 0));
  shared_.reset();
  ident_ = 0;
}

bool NativeThread::joinable() const noexcept { return handle_ != 0; }

int NativeThread::exit_code() const {
  if (!shared_ || joinable()) throw std::logic_error("exit_code: no thread was joined");
  if (shared_->gate.load(std::memory_order_relaxed) == Shared::Gate::discarded) {
    throw std::logic_error("exit_code: the thread was discarded");
  }
  return shared_->exit_code;
}

std::uintptr_t NativeThread::ident() const noexcept { return ident_; }

std::uint64_t NativeThread::native_id() const noexcept {
  if (!shared_) return 0;
  if (shared_->process == os::process_id()) {
    shared_->wait_prepared();
  } else if (shared_->progress.load(std::memory_order_acquire) == Shared::Progress::preparing) {
    return 0;  // a fork()ed child: nobody is left who could tell
  }
  return shared_->native_id;
}

std::uintptr_t NativeThread::native_handle() const noexcept { return handle_; }

void NativeThread::require_joinable(const char* operation) const {
  if (!joinable()) throw std::logic_error(std::string(operation) + ": there is no thread");
  if (shared_->process != os::process_id()) {
    throw std::system_error(
        std::make_error_code(std::errc::no_such_process),
        std::string(operation) + ": the thread was made before fork(), in the parent process");
  }
}

void NativeThread::require_not_itself(const char* operation) const {
  if (ident_ == current_ident()) {
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                            std::string(operation) + ": a thread can't wait for itself");
  }
}

bool NativeThread::is_suspended() const noexcept {
  return shared_->gate.load(std::memory_order_relaxed) == Shared::Gate::closed;
}

void NativeThread::join_now() noexcept {
  os::join_thread(handle_);
  handle_ = 0;
}

void NativeThread::let_go() noexcept {
  if (!joinable()) return;
  if (shared_->process != os::process_id()) {
    handle_ = 0;  // its stack is gone, or another thread's: the handle names nothing here
  } else if (ident_ == current_ident()) {
    os::detach_thread(std::exchange(handle_, 0));
  } else {
    shared_->leave_gate(Shared::Gate::discarded);
    join_now();
  }
}

}  // namespace osthread
