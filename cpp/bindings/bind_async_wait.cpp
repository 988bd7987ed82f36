#include <pybind11/stl.h>

#include "bindings.hpp"
#include "host.hpp"
#include "python_shared.hpp"
#include "python_types.hpp"
#include "python_wait.hpp"

namespace osthread::python {
namespace {

using host::AsyncWait;

void call_told(std::span<const std::uint64_t> keys) {
  const GilHold gil;
  try {
    py::list list;
    for (const std::uint64_t key : keys) list.append(key);
    call(types().told, py::make_tuple(list));
  } catch (py::error_already_set& error) {
    discard(error, "the wake-up of asynchronous waits");
  }
}

// On a thread of the library's: it waits for the GIL here, so that whoever sends or receives need not.
void report_told(std::span<const std::uint64_t> keys) noexcept {
  if (ending()) return;
  try {
    call_told(keys);
  } catch (const InterpreterEnding&) {
    return;  // no loop is left to be told
  }
}

}  // namespace

void bind_async_wait(py::module_& module) {
  host::set_async_report(&report_told);
  py::class_<AsyncWait>(module, "AsyncWait",
                        "A task's place in line at channels, beside the threads that wait.")
      .def(py::init([](std::uint64_t key, const py::tuple& channels, bool for_room) {
             return std::make_unique<AsyncWait>(key, channels_in(channels),
                                                for_room ? AsyncWait::For::room : AsyncWait::For::value);
           }),
           py::arg("key"), py::arg("channels"), py::arg("for_room"))
      .def("again", &AsyncWait::again)
      .def("leave", &AsyncWait::leave, py::arg("used"));
  module.def("seconds_of", &seconds_of, py::arg("timeout"), "What waits take as a timeout, checked.");
}

}  // namespace osthread::python
