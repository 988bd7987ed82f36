#include "prepared_states.hpp"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "builtins.hpp"
#include "fork.hpp"
#include "lua_module.hpp"
#include "lua_value.hpp"

namespace osthread::prepared_states {
namespace {

// What LuaJIT reads while a state is made: a state made under other values is of no use.
std::string environment() {
  std::string text;
  for (const char* name : {"LUA_PATH", "LUA_CPATH"}) {
    const char* value = std::getenv(name);
    text += value ? value : "\1";
    text += '\0';
  }
  return text;
}

struct Cache {
  std::mutex mutex;
  std::vector<std::unique_ptr<Vm>> states;
  std::string environment;
  std::size_t in_making = 0;
};

Cache& cache() { return per_process<Cache>(); }

std::size_t most() {
  static const std::size_t states = 2 * std::max(1u, std::thread::hardware_concurrency());
  return states;
}

std::unique_ptr<Vm> make() {
  return std::unique_ptr<Vm>(new Vm{install_values, install_builtins, install_module});
}

}  // namespace

std::unique_ptr<Vm> take() {
  Cache& states = cache();
  std::vector<std::unique_ptr<Vm>> outdated;
  {
    const std::lock_guard lock(states.mutex);
    if (!states.states.empty()) {
      if (states.environment == environment()) {
        std::unique_ptr<Vm> state = std::move(states.states.back());
        states.states.pop_back();
        return state;
      }
      outdated.swap(states.states);
    }
  }
  return make();
}

void leave_one() noexcept {
  Cache& states = cache();
  {
    const std::lock_guard lock(states.mutex);
    if (states.states.size() + states.in_making >= most()) return;
    ++states.in_making;
  }
  std::unique_ptr<Vm> state;
  std::string made_under;
  try {
    made_under = environment();
    state = make();
  } catch (const std::exception&) {
    // Short of memory: then there is none ahead, and whoever needs one is told.
    state.reset();
  }
  const std::lock_guard lock(states.mutex);
  --states.in_making;
  if (!state) return;
  if (states.environment != made_under) states.states.clear();
  states.environment = std::move(made_under);
  states.states.push_back(std::move(state));
}

void clear() noexcept {
  Cache& states = cache();
  std::vector<std::unique_ptr<Vm>> dropped;
  const std::lock_guard lock(states.mutex);
  dropped.swap(states.states);
}

}  // namespace osthread::prepared_states
