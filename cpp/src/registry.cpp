#include "registry.hpp"

#include <mutex>
#include <unordered_map>

#include "fork.hpp"
#include "thread_core.hpp"
#include "waiter.hpp"

namespace osthread::registry {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_map<const ThreadCore*, std::shared_ptr<ThreadCore>> alive;
  std::atomic<std::size_t> natives{0};
  Waiter quiet;
};

Registry& instance() { return per_process<Registry>(); }

thread_local ThreadCore* current_core = nullptr;
constinit std::atomic<void (*)() noexcept> native_end{nullptr};

}  // namespace

void add(std::shared_ptr<ThreadCore> core) {
  Registry& registry = instance();
  const std::lock_guard lock(registry.mutex);
  const ThreadCore* key = core.get();
  registry.alive.emplace(key, std::move(core));
}

void remove(const ThreadCore* core) noexcept {
  Registry& registry = instance();
  std::shared_ptr<ThreadCore> dropped;  // after the lock
  const std::lock_guard lock(registry.mutex);
  const auto at = registry.alive.find(core);
  if (at == registry.alive.end()) return;
  dropped = std::move(at->second);
  registry.alive.erase(at);
}

std::vector<std::shared_ptr<ThreadCore>> alive() {
  Registry& registry = instance();
  std::vector<std::shared_ptr<ThreadCore>> cores;
  const std::lock_guard lock(registry.mutex);
  for (const auto& [key, core] : registry.alive) cores.push_back(core);
  return cores;
}

ThreadCore* current() noexcept { return current_core; }
void set_current(ThreadCore* core) noexcept { current_core = core; }

void native_begins() { instance().natives.fetch_add(1, std::memory_order_relaxed); }

void set_native_end(void (*end)() noexcept) noexcept { native_end.store(end, std::memory_order_release); }

void at_native_end() noexcept {
  // Acquire and release: whatever it needs is there.
  if (const auto end = native_end.load(std::memory_order_acquire)) end();
}

void native_ends() noexcept {
  Registry& registry = instance();
  // acq_rel: what the thread did is done for whoever sees the count
  if (registry.natives.fetch_sub(1, std::memory_order_acq_rel) == 1) registry.quiet.wake_all();
}

bool wait_until_quiet(Clock::time_point deadline) noexcept {
  Registry& registry = instance();
  for (;;) {
    const Waiter::Ticket ticket = registry.quiet.ticket();
    if (registry.natives.load(std::memory_order_acquire) == 0) return true;
    if (Clock::now() >= deadline) return false;
    registry.quiet.park(ticket, deadline);
  }
}

}  // namespace osthread::registry
