// The extension module osthread._core, as a table of contents.
#include "bindings.hpp"
#include "osthread/osthread.hpp"
#include "python_errors.hpp"
#include "python_types.hpp"

namespace osthread::python {

// Never destroyed: the interpreter may be gone by then.
static Types& handed_over = *new Types;

Types& types() { return handed_over; }

}  // namespace osthread::python

PYBIND11_MODULE(_core, m) {
  using namespace osthread::python;
  m.doc() = "The core of osthread; the package osthread is its public face.";
  m.attr("__version__") = OSTHREAD_VERSION;
  register_translator();
  bind_function(m);
  bind_thread(m);
  bind_state(m);
  bind_process(m);
  m.def(
      "_hand_over",
      [](py::object errors, py::object function, py::object thread) {
        types() = {std::move(errors), std::move(function), std::move(thread)};
      },
      py::arg("errors"), py::arg("function"), py::arg("thread"),
      "Gives the bindings the Python classes that they make objects of.");
}
