#include "prepared_states.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "builtins.hpp"
#include "ffi_library.hpp"
#include "finalizer_errors.hpp"
#include "fork.hpp"
#include "lua_call.hpp"
#include "lua_module.hpp"
#include "lua_value.hpp"
#include "profiler.hpp"
#include "waiter.hpp"

namespace osthread::prepared_states {
namespace {

// Whether LuaJIT would find paths in the environment: then no state is made ahead. Read on the thread of a
// caller alone, since reading the environment while another thread changes it is a race that the caller can't
// know of.
bool environment_has_paths() { return std::getenv("LUA_PATH") || std::getenv("LUA_CPATH"); }

// Long enough that a loop which starts threads is seen, short enough for the next request of a server.
constexpr std::chrono::microseconds kLull{300};

struct Cache {
  std::mutex mutex;
  std::vector<std::unique_ptr<Vm>> states;
  std::size_t in_making = 0;
  std::atomic<std::uint64_t> taken{0};
  std::atomic<bool> closed{false};
  Waiter closing;
};

Cache& cache() { return per_process<Cache>(); }

// As many as the process has CPUs, twice; asked once, when the library is loaded.
const std::size_t kMost = 2 * std::max(1u, std::thread::hardware_concurrency());

std::unique_ptr<Vm> make(Vm::Environment environment) {
  return std::unique_ptr<Vm>(
      new Vm(environment, {install_values, install_calls, install_builtins, install_finalizer_errors,
                           install_profiler, install_ffi_library, install_module}));
}

// Waits until no thread has been started for a while: while they start one after the other, each core has
// something better to do. Whether it is still wanted.
bool wait_for_lull(Cache& states) noexcept {
  for (;;) {
    const std::uint64_t before = states.taken.load(std::memory_order_relaxed);
    const Waiter::Ticket ticket = states.closing.ticket();
    if (states.closed.load(std::memory_order_relaxed)) return false;
    states.closing.park(ticket, Clock::now() + kLull);
    if (states.taken.load(std::memory_order_relaxed) == before)
      return !states.closed.load(std::memory_order_relaxed);
  }
}

}  // namespace

std::unique_ptr<Vm> take() {
  Cache& states = cache();
  states.taken.fetch_add(1, std::memory_order_relaxed);
  if (environment_has_paths()) return make(Vm::Environment::read);
  {
    const std::lock_guard lock(states.mutex);
    if (!states.states.empty()) {
      std::unique_ptr<Vm> state = std::move(states.states.back());
      states.states.pop_back();
      return state;
    }
  }
  return make(Vm::Environment::ignored);
}

void leave_one() noexcept {
  Cache& states = cache();
  {
    const std::lock_guard lock(states.mutex);
    if (states.closed.load(std::memory_order_relaxed) || states.states.size() + states.in_making >= kMost)
      return;
    ++states.in_making;
  }
  std::unique_ptr<Vm> state;
  try {
    if (wait_for_lull(states)) state = make(Vm::Environment::ignored);
    const std::lock_guard lock(states.mutex);
    states.states.reserve(kMost);
  } catch (const std::exception&) {
    // Short of memory: then there is none ahead, and whoever needs one is told.
    state.reset();
  }
  const std::lock_guard lock(states.mutex);
  --states.in_making;
  if (state && !states.closed.load(std::memory_order_relaxed)) states.states.push_back(std::move(state));
}

void close() noexcept {
  Cache& states = cache();
  std::vector<std::unique_ptr<Vm>> dropped;
  states.closed.store(true, std::memory_order_relaxed);
  states.closing.wake_all();
  const std::lock_guard lock(states.mutex);
  dropped.swap(states.states);
}

}  // namespace osthread::prepared_states
