#include "osthread/osthread.hpp"

#include <stdexcept>

#include "deadline.hpp"
#include "interrupt.hpp"
#include "lua_headers.hpp"
#include "registry.hpp"
#include "state_end.h"
#include "thread_core.hpp"

namespace osthread {

const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::suspended:
      return "suspended";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::finished:
      return "finished";
    case Status::failed:
      return "failed";
    case Status::stopped:
      return "stopped";
    case Status::killed:
      return "killed";
    case Status::abandoned:
      return "abandoned";
    case Status::lost:
      return "lost";
  }
  return "unknown";
}

OSThread::OSThread() noexcept = default;

OSThread::OSThread(const Code& code, Values args, ThreadOptions options)
    : core_(ThreadCore::create(code, std::move(args), std::move(options))) {
  core_->launch();
}

OSThread::OSThread(StartRoutine routine, void* parameter, Flags flags) {
  if (!routine) throw std::invalid_argument("OSThread: the start routine is null");
  const bool suspended = (static_cast<unsigned>(flags) & static_cast<unsigned>(Flags::suspended)) != 0;
  core_ = routine == &RunLuaThread
              ? ThreadCore::create(Code(static_cast<const char*>(parameter)), {}, {.suspended = suspended})
              : ThreadCore::create(routine, parameter, {.suspended = suspended});
  core_->launch();
}

OSThread::~OSThread() { leave(); }

OSThread::OSThread(OSThread&& other) noexcept = default;

OSThread& OSThread::operator=(OSThread&& other) noexcept {
  if (this != &other) {
    leave();
    core_ = std::move(other.core_);
  }
  return *this;
}

void OSThread::leave() noexcept {
  if (!core_) return;
  if (core_->status() == Status::suspended) {
    core_->discard();
  } else if (registry::current() == core_.get()) {
    core_->terminate_later();  // dropped by a function that it calls itself: it can't wait for its own end
  } else {
    switch (core_->options().on_exit) {
      case OnExit::join:
        core_->request_stop();
        core_->wait_for_end();
        break;
      case OnExit::terminate:
        core_->terminate(core_->options().grace);
        break;
      case OnExit::detach:
        break;
    }
  }
  core_->forget();
  core_.reset();
}

ThreadCore& OSThread::get() const {
  if (!core_)
    throw std::logic_error(
        "this OSThread owns no thread: it was moved from, detached or default-constructed");
  return *core_;
}

void OSThread::start() { get().start(); }

void OSThread::join() {
  ThreadCore& core = get();
  if (core.status() == Status::suspended)
    throw std::logic_error("an OSThread that was never started can't be joined");
  if (registry::current() == &core)
    throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "an OSThread can't join itself");
  while (true) {
    const Wait outcome = core.wait(std::nullopt);
    if (outcome == Wait::over) return;
    if (outcome == Wait::stopped) std::rethrow_exception(stopped_in_wait());
  }
}

bool OSThread::join_for(std::chrono::nanoseconds timeout) {
  const Clock::time_point deadline = deadline_after(timeout);
  for (;;) {
    switch (get().wait(deadline)) {
      case Wait::over:
        return true;
      case Wait::timed_out:
        return false;
      case Wait::interrupted:
        break;
      case Wait::stopped:
        std::rethrow_exception(stopped_in_wait());
    }
  }
}

const Values& OSThread::result() const {
  const_cast<OSThread*>(this)->join();
  const Outcome& outcome = get().outcome();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.results;
}

std::exception_ptr OSThread::exception() const {
  const_cast<OSThread*>(this)->join();
  return get().outcome().error;
}

Status OSThread::status() const noexcept { return core_ ? core_->status() : Status::lost; }
bool OSThread::joinable() const noexcept { return core_ != nullptr; }
bool OSThread::is_alive() const noexcept {
  const Status now = status();
  return now == Status::running || now == Status::paused;
}

bool OSThread::request_stop() noexcept { return core_ && core_->request_stop(); }
bool OSThread::interrupt() { return get().only_lua().interrupt(); }
bool OSThread::kill() { return get().only_lua().kill(); }
bool OSThread::pause() { return get().only_lua().pause(); }
bool OSThread::resume() { return get().only_lua().resume(); }

Status OSThread::terminate(std::optional<std::chrono::nanoseconds> grace) {
  return get().terminate(grace.value_or(core_->options().grace));
}

void OSThread::detach() {
  if (get().status() == Status::suspended)
    throw std::logic_error("an OSThread that was never started can't be detached");
  core_.reset();
}

Channel OSThread::mailbox() const { return get().mailbox(); }

std::vector<Frame> OSThread::stack() const {
  return get().stack(deadline_after(std::chrono::seconds(1))).value_or(std::vector<Frame>{});
}

ThreadStatistics OSThread::statistics() const { return get().statistics(); }
const std::string& OSThread::name() const noexcept { return core_->options().name; }
const ThreadOptions& OSThread::options() const noexcept { return core_->options(); }
std::uintptr_t OSThread::ident() const noexcept { return core_ ? core_->ident() : 0; }
std::uint64_t OSThread::native_id() const { return get().native_id(); }
std::uintptr_t OSThread::native_handle() const noexcept { return ident(); }
void OSThread::on_end(std::function<void()> callback) { get().on_end(std::move(callback)); }

void set_signal(int number) { interrupt::set_signal(number); }

Features features() {
#ifdef _WIN32
  constexpr const char* kPlatform = "windows";
#elif defined(__APPLE__)
  constexpr const char* kPlatform = "macos";
#else
  constexpr const char* kPlatform = "linux";
#endif
  // Only the bundled LuaJIT is known to look at hooks in compiled code.
  return {.luajit = LUAJIT_VERSION,
          .interrupts_compiled_loops = osthread_has_arena() != 0 && interrupt::reaches_running_code(),
          .kill = Stop::can_kill(),
          .signal = interrupt::signal_number(),
          .platform = kPlatform};
}

}  // namespace osthread
