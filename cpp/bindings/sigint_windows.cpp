#include <csignal>

#include "sigint.hpp"

namespace osthread::python::sigint {

// Windows calls the handlers of Ctrl-C on a thread of its own, where there is no run to speak to: a
// LuaState's code ends when it returns to Python.
bool stands_before() noexcept { return true; }
const std::atomic<std::uint32_t>& times_put_before() noexcept {
  static constinit std::atomic<std::uint32_t> never{0};
  return never;
}
void forget_parents() noexcept {}
bool stand_before(void (*)() noexcept) noexcept { return false; }

}  // namespace osthread::python::sigint
