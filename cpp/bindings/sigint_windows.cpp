#include <csignal>

#include "sigint.hpp"

namespace osthread::python::sigint {

// Windows calls the handlers of Ctrl-C on a thread of its own, where there is no run to speak to: a
// LuaState's code ends when it returns to Python.
bool stands_before() noexcept { return true; }
bool stand_before(void (*)() noexcept) noexcept { return false; }

}  // namespace osthread::python::sigint
