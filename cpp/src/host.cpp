#include "host.hpp"

#include <atomic>

#include "deadline.hpp"
#include "finalizer_errors.hpp"
#include "leaks.hpp"
#include "lua_call.hpp"
#include "notifier.hpp"
#include "owned_threads.hpp"
#include "prepared_states.hpp"
#include "registry.hpp"
#include "run.hpp"
#include "shared_object.hpp"
#include "thread_core.hpp"
#include "thread_handle.hpp"
#include "watchdog.hpp"

namespace osthread::host {

Core create(const Code& code, Values args, ThreadOptions options) {
  return ThreadCore::create(code, std::move(args), std::move(options));
}

Wait wait(ThreadCore& core, std::optional<Clock::time_point> deadline) noexcept {
  return core.wait(deadline);
}
Wait wait_held(ThreadCore& core, Clock::time_point deadline) noexcept { return core.wait_held(deadline); }
bool held(const ThreadCore& core) noexcept { return core.held(); }

std::exception_ptr stopped() { return stopped_in_wait(); }

Clock::time_point deadline_after(std::chrono::nanoseconds duration) noexcept {
  return osthread::deadline_after(duration);
}

void launch(ThreadCore& core) { core.launch(); }
void release_results(ThreadCore& core) noexcept { core.release_results(); }
void release_error(ThreadCore& core) noexcept { core.release_error(); }
std::vector<Object*> objects_of(const ThreadCore& core) { return core.objects(); }
void forget(ThreadCore& core) noexcept { core.forget(); }
void start(ThreadCore& core) { core.start(); }
void discard(ThreadCore& core) noexcept { core.discard(); }
bool request_stop(ThreadCore& core) noexcept { return core.request_stop(); }
bool interrupt(ThreadCore& core) { return core.interrupt(); }
bool kill(ThreadCore& core) { return core.kill(); }
const char* no_kill_because() noexcept { return Stop::no_kill_because(); }
bool pause(ThreadCore& core) noexcept { return core.pause(); }
bool resume(ThreadCore& core) noexcept { return core.resume(); }
Status terminate(ThreadCore& core, std::chrono::nanoseconds grace, const std::function<bool()>& look) {
  return core.terminate(grace, look);
}
void terminate_later(ThreadCore& core) { core.terminate_later(); }

Status status(const ThreadCore& core) noexcept { return core.status(); }
bool ended(const ThreadCore& core) noexcept { return core.ended(); }
bool settled(const ThreadCore& core) noexcept { return core.settled(); }
const ThreadOptions& options(const ThreadCore& core) noexcept { return core.options(); }
std::uintptr_t ident(const ThreadCore& core) noexcept { return core.ident(); }
std::uint64_t native_id(const ThreadCore& core) noexcept { return core.native_id(); }
ThreadStatistics statistics(const ThreadCore& core) { return core.statistics(); }
std::optional<std::vector<Frame>> stack(ThreadCore& core, Clock::time_point deadline) {
  return core.stack(deadline);
}
void on_end(ThreadCore& core, std::function<void()> callback) { core.on_end(std::move(callback)); }

const Values& results(const ThreadCore& core) { return core.outcome().results; }
std::exception_ptr error(const ThreadCore& core) { return core.outcome().error; }
const std::vector<Frame>& error_frames(const ThreadCore& core) { return core.outcome().frames; }

bool symbols_promoted() noexcept { return osthread::symbols_promoted(); }

bool on_own_thread() noexcept { return wait_note() != nullptr; }

Core current() {
  ThreadCore* core = registry::current();
  return core ? core->shared_from_this() : nullptr;
}

Value thread_value(Core core, std::shared_ptr<void> keep) {
  return osthread::thread_value(std::move(core), std::move(keep));
}
Channel mailbox(ThreadCore& core) { return core.mailbox(); }
void announce_as(ThreadCore& core, std::function<Value()> make) { core.announce_as(std::move(make)); }

Core thread_of(const Value& value) {
  if (value.type() != Value::Type::object) return nullptr;
  const auto* handle = dynamic_cast<const ThreadHandle*>(value.object());
  return handle ? handle->core() : nullptr;
}

bool is_owner(const Value& thread) {
  return thread.type() == Value::Type::object &&
         dynamic_cast<OwningThreadHandle*>(thread.object()) != nullptr;
}
void detach(const Value& owner) noexcept { static_cast<OwningThreadHandle*>(owner.object())->detach(); }
void note_dropped(const Value& owner) noexcept {
  static_cast<OwningThreadHandle*>(owner.object())->note_dropped();
}
bool forgotten(const ThreadCore& core) noexcept { return core.forgotten(); }
bool detached(const ThreadCore& core) noexcept { return core.detached(); }
void note_fetched(ThreadCore& core) noexcept { core.note_fetched(); }
void set_lost_thread_reporter(void (*reporter)(ThreadCore& core, bool dropped) noexcept) noexcept {
  osthread::set_lost_thread_reporter(reporter);
}
std::vector<Core> alive() { return registry::alive(); }

std::exception_ptr exception_of(const Value& value) {
  return value.type() == Value::Type::object ? exception_of(*value.object()) : nullptr;
}

std::exception_ptr exception_of(const Object& object) {
  const auto* error = dynamic_cast<const HostError*>(&object);
  return error ? error->exception() : nullptr;
}

void note_signal() noexcept { Run::note_host_signal(); }
void suspect_signal() noexcept { Run::suspect_host_signal(); }
int signal_number() noexcept { return interrupt::signal_number(); }
void let_signals_kill(bool allowed) noexcept { Run::let_signals_kill(allowed); }
namespace {

std::atomic<bool (*)()> signal_check{nullptr};

bool check_and_interrupt(Stop& stop) {
  const auto check = signal_check.load(std::memory_order_acquire);
  if (!check || !check()) return false;
  ask_to_stop(stop.shared_from_this());
  return true;
}

}  // namespace

void interrupt_here() noexcept {
  if (Run* run = Run::current()) ask_to_stop(run->stop().shared_from_this());
}

std::size_t memory_limit_here() noexcept {
  const Run* run = Run::current();
  return run ? run->vm().quota().limit() : 0;
}

void require_signal() { interrupt::require_choice(); }

void set_signal_check(bool (*check)()) noexcept {
  signal_check.store(check, std::memory_order_release);
  Run::set_host_check(&check_and_interrupt);
}

void set_look(bool (*due)() noexcept, void (*look)() noexcept,
              const std::atomic<std::uint32_t>& seen_to) noexcept {
  Stop::set_look({.due = due, .see_to_it = look, .seen_to = &seen_to});
}

void call_soon(void (*errand)() noexcept) noexcept {
  try {
    Notifier::call_soon(errand);
  } catch (const std::exception&) {
    return;
  }
}

void set_thread_end(void (*end)() noexcept) noexcept { registry::set_native_end(end); }

void set_finalizer_error_reporter(bool (*reporter)(const std::exception_ptr& error,
                                                   const char* source) noexcept) noexcept {
  osthread::set_finalizer_error_reporter(reporter);
}

void set_leak_reporter(void (*reporter)(const std::string& thread, const std::vector<std::string>& modules,
                                        bool kept) noexcept) noexcept {
  osthread::set_leak_reporter(reporter);
}

bool wait_until_quiet(Clock::time_point deadline) noexcept { return registry::wait_until_quiet(deadline); }
void drop_prepared_states() noexcept { prepared_states::close(); }

}  // namespace osthread::host
