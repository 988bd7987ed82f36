// The extension module osthread._core, as a table of contents.
#include <csignal>

#include "bindings.hpp"
#include "osthread/osthread.hpp"
#include "python_errors.hpp"
#include "python_types.hpp"

namespace osthread::python {

// Never destroyed: the interpreter may be gone by then.
static Types& handed_over = *new Types;

Types& types() { return handed_over; }

}  // namespace osthread::python

// What the import of _core calls is below.
#define PyInit__core osthread_init_in_main_interpreter
PYBIND11_MODULE(_core, m) {
  using namespace osthread::python;
  m.doc() = "The core of osthread; the package osthread is its public face.";
  m.attr("__version__") = OSTHREAD_VERSION;
  register_translator();
  bind_channel(m);
  bind_async_wait(m);
  bind_function(m);
  bind_thread(m);
  bind_pool(m);
  bind_shared_buffer(m);
  bind_shared_table(m);
  bind_state(m);
  bind_sync(m);
  bind_process(m);
  m.def(
      "_hand_over",
      [](py::object errors, py::object function, py::object thread, py::object shared, py::object told,
         py::object getsignal, py::object default_int_handler, py::object interrupted) {
        types() = {
            std::move(errors),     std::move(function),  std::move(thread), std::move(shared),
            std::move(told),       std::move(getsignal), py::int_(SIGINT),  std::move(default_int_handler),
            std::move(interrupted)};
      },
      py::arg("errors"), py::arg("function"), py::arg("thread"), py::arg("shared"), py::arg("told"),
      py::arg("getsignal"), py::arg("default_int_handler"), py::arg("interrupted"),
      "Gives the bindings the Python classes that they make objects of.");
}
#undef PyInit__core

// In a subinterpreter pybind11's own initialisation would wait for ever for the main interpreter's thread
// state, which this thread holds; and callbacks of Lua threads find their way to the main interpreter alone.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return osthread_init_in_main_interpreter();
  PyErr_SetString(PyExc_ImportError,
                  "osthread works in the main interpreter only: it can't be imported in a subinterpreter");
  return nullptr;
}
