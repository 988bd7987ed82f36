#include <pybind11/stl.h>

#include <new>

#include "bindings.hpp"
#include "python_errors.hpp"
#include "sigint.hpp"

namespace osthread::python {
namespace {

thread_local PyObject* signal_error = nullptr;

// Called where this thread's Lua code stands, after note_signal(). Python runs handlers on the main thread
// alone.
bool check_signals() {
  if (ending()) return false;
  const GilHold gil;
  if (PyErr_CheckSignals() == 0) return false;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  Py_XSETREF(signal_error, value);
  return true;
}

// The error of a finalizer is one that nobody can fetch.
bool report_finalizer_error(const std::exception_ptr& error) noexcept {
  try {
    const GilHold gil;
    const py::error_scope pending;  // the state may be closed while a Python exception is on its way
    const host::Core core = host::current();
    const std::string where = core ? "a finalizer of the OSThread '" + host::options(*core).name + "'"
                                   : "a finalizer of a LuaState";
    write_unraisable(exception_object(error, {}, {}), py::str(where));
    return true;
  } catch (const std::exception&) {
    return false;  // the interpreter is ending, or short of memory
  }
}

py::dict describe_features() {
  const Features now = features();
  using namespace py::literals;
  return py::dict("luajit"_a = now.luajit, "interrupts_compiled_loops"_a = now.interrupts_compiled_loops,
                  "kill"_a = now.kill, "signal"_a = now.signal, "platform"_a = now.platform);
}

}  // namespace

void look_at_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void stand_before_sigint() { sigint::stand_before(&host::note_signal); }

void note_interrupt(py::error_already_set& error) {
  if (host::current() || !error.matches(PyExc_KeyboardInterrupt)) return;
  Py_XSETREF(signal_error, error.value().inc_ref().ptr());
  host::interrupt_here();
}

py::object take_signal_error() {
  return py::reinterpret_steal<py::object>(std::exchange(signal_error, nullptr));
}

void bind_process(py::module_& module) {
  host::set_signal_check(&check_signals);
  host::set_finalizer_error_reporter(&report_finalizer_error);
  host::set_thread_end(&drop_thread_state);
  module.def("features", &describe_features);
  module.def(
      "set_signal", [](int number) { set_signal(number); }, py::arg("number"));
  module.def("note_ending", &note_ending, "From here on no thread of ours asks for the GIL.");
  module.def("after_fork", &forget_parents, "In a fork's child: starts anew.");
  module.def(
      "wait_until_quiet",
      [](double timeout) {
        const GilRelease release;
        return host::wait_until_quiet(host::deadline_after(duration(timeout)));
      },
      py::arg("timeout"));
  module.def("drop_prepared_states", &host::drop_prepared_states);
}

}  // namespace osthread::python
