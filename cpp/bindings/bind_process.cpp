#include <pybind11/stl.h>

#include <csignal>
#include <new>

#include "bindings.hpp"
#include "pool_end.hpp"
#include "python_errors.hpp"
#include "python_types.hpp"
#include "sigint.hpp"

namespace osthread::python {
namespace {

thread_local PyObject* signal_error = nullptr;

// Whoever debugs a program that hangs wants to know now who waits for what: leaving the blocks ends the
// threads.
void tell_of_interrupt(py::handle exception) {
  if (types().interrupted.is_none()) return;
  try {
    call(types().interrupted, py::make_tuple(exception));
  } catch (py::error_already_set& error) {
    discard(error, "what a Ctrl-C is told with OSTHREAD_DEBUG=1");
  }
}

// A handler of the program's own may raise nothing, and then nothing may be lost.
void note_handler() noexcept {
  PyObject* const handler = PyObject_CallOneArg(types().getsignal.ptr(), types().sigint.ptr());
  if (!handler) PyErr_Clear();
  host::let_signals_kill(handler == types().default_int_handler.ptr());
  Py_XDECREF(handler);
}

// Called where this thread's Lua code stands, after note_signal(). Python runs handlers on the main thread
// alone.
bool check_signals() {
  if (ending()) return false;
  const GilHold gil;
  note_handler();
  if (PyErr_CheckSignals() == 0) return false;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  tell_of_interrupt(value);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  Py_XSETREF(signal_error, value);
  return true;
}

void ask_for_handler() {
  const GilHold gil;
  note_handler();
}

// On a thread of the library's: the one that runs the code may never come to where it could have the GIL.
void note_handler_later() noexcept {
  if (ending()) return;
  try {
    ask_for_handler();
  } catch (const InterpreterEnding&) {
    return;  // no handler is left
  }
}

// Another handler may stand there now, and whose it is nobody can tell without the GIL: until then nothing
// may be lost.
bool sigint_is_due() noexcept {
  if (sigint::stands_before()) return false;
  host::let_signals_kill(false);
  host::call_soon(&note_handler_later);
  return true;
}

// In a call that lasts.
void look_at_sigint() noexcept {
  if (sigint::stand_before(&host::note_signal)) host::suspect_signal();
}

// The error of a finalizer is one that nobody can fetch.
bool report_finalizer_error(const std::exception_ptr& error, const char* source) noexcept {
  try {
    const GilHold gil;
    const py::error_scope pending;  // the state may be closed while a Python exception is on its way
    const host::Core core = host::current();
    const std::string where = source + (core ? " of the OSThread '" + host::options(*core).name + "'"
                                             : std::string(" of a LuaState"));
    write_unraisable(exception_object(error, {}, {}), py::str(where));
    return true;
  } catch (const std::exception&) {
    return false;  // the interpreter is ending, or short of memory
  }
}

void report_leak(const std::string& thread, const std::vector<std::string>& modules, bool kept) noexcept {
  if (ending()) return;
  try {
    const GilHold gil;
    const py::error_scope pending;
    std::string text = "the state of " + (thread.empty() ? "a LuaState" : "the OSThread '" + thread + "'") +
                       " was left for good, so that its C modules lose what they had taken from elsewhere:";
    for (const std::string& name : modules) text += (&name == &modules.front() ? " '" : ", '") + name + "'";
    if (kept) text += "; its memory is kept, as threads of theirs may use it";
    if (!warn(PyExc_ResourceWarning, text)) write_raised(Py_None);
  } catch (const std::exception&) {
    return;  // the interpreter is ending, or short of memory
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
  if (PyErr_CheckSignals() == 0) return;
  py::error_already_set error;
  tell_of_interrupt(error.value());
  throw error;
}

void stand_before_sigint() {
  look_at_sigint();
  note_handler();
}

void note_interrupt(py::error_already_set& error) {
  if (host::on_own_thread() || !error.matches(PyExc_KeyboardInterrupt)) return;
  Py_XSETREF(signal_error, error.value().inc_ref().ptr());
  host::interrupt_here();
}

py::object take_signal_error() {
  return py::reinterpret_steal<py::object>(std::exchange(signal_error, nullptr));
}

void bind_process(py::module_& module) {
  host::set_signal_check(&check_signals);
  host::set_look(&sigint_is_due, &look_at_sigint, sigint::times_put_before());
  host::set_finalizer_error_reporter(&report_finalizer_error);
  host::set_leak_reporter(&report_leak);
  host::set_thread_end(&drop_thread_state);
  module.def("features", &describe_features);
  module.def(
      "set_signal", [](int number) { set_signal(number); }, py::arg("number"));
  module.def("require_signal", &host::require_signal);
  module.def("symbols_promoted", &host::symbols_promoted,
             "Whether a C module has been loaded: lupa that is loaded after that would bind to our LuaJIT.");
  module.def(
      "require_kill",
      [] {
        const char* reason = host::no_kill_because();
        if (!reason) return;
        PyErr_SetString(PyExc_NotImplementedError, reason);
        throw py::error_already_set();
      },
      "NotImplementedError where kill() can't be had.");
  module.def("note_ending", &note_ending, "From here on no thread of ours asks for the GIL.");
  module.def(
      "after_fork",
      [] {
        forget_parents();
        sigint::forget_parents();
        pool_end::forget_parents();
      },
      "In a fork's child: starts anew.");
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
