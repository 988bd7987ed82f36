#include <pybind11/stl.h>

#include "bindings.hpp"
#include "collectable.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_thread.hpp"

namespace osthread::python {
namespace {

Code code_of(const py::object& code, const std::string& chunk_name) {
  if (py::isinstance<FunctionValue>(code)) return Code(code.cast<const FunctionValue&>().value);
  return Code(std::string(py::reinterpret_borrow<py::bytes>(code)), chunk_name);
}

std::unique_ptr<Thread> make(const py::object& code, const std::string& chunk_name, const py::tuple& args,
                             const py::dict& options) {
  Encoding encoding = encoding_of(options);
  const Code compiled = code_of(code, chunk_name);
  Values values = to_values(args, "args", encoding);
  ThreadOptions target = thread_options(options, encoding);
  host::Core core;
  {
    const GilRelease release;
    core = host::create(compiled, std::move(values), std::move(target));
  }
  return std::make_unique<Thread>(std::move(core), std::move(encoding));
}

std::optional<Clock::time_point> deadline_of(std::optional<double> timeout) {
  if (!timeout) return std::nullopt;
  return host::deadline_after(duration(*timeout));
}

bool join(Self<Thread> thread, std::optional<double> timeout) {
  const auto deadline = deadline_of(timeout);
  stand_before_sigint();
  for (;;) {
    if (host::ended(*thread->core)) return true;
    Wait outcome;
    {
      const GilRelease release;
      outcome = host::wait(*thread->core, deadline);
    }
    if (outcome == Wait::interrupted) look_at_signals();
    if (outcome == Wait::stopped) std::rethrow_exception(host::stopped());
    if (outcome == Wait::over) return true;
    if (outcome == Wait::timed_out) return false;
  }
}

bool wait_held(Self<Thread> thread, double timeout) {
  const Clock::time_point deadline = host::deadline_after(duration(timeout));
  stand_before_sigint();
  for (;;) {
    Wait outcome;
    {
      const GilRelease release;
      outcome = host::wait_held(*thread->core, deadline);
    }
    if (outcome == Wait::stopped) std::rethrow_exception(host::stopped());
    if (outcome != Wait::interrupted) return host::held(*thread->core);
    look_at_signals();
  }
}

std::string terminate(Self<Thread> thread, double grace) {
  thread->at_rest = false;
  std::exception_ptr raised;
  Status status;
  stand_before_sigint();
  {
    const GilRelease release;
    status = host::terminate(*thread->core, duration(grace), [&raised] {
      const GilHold acquire;
      try {
        look_at_signals();
      } catch (py::error_already_set&) {
        raised = std::current_exception();
        return false;
      }
      return true;
    });
  }
  if (raised) {
    host::terminate_later(*thread->core);
    std::rethrow_exception(raised);
  }
  return to_string(status);
}

// These two put the error (or None), and the results as a tuple, into the object itself, and give up the
// core's: what they refer to may well refer to the object, and there the garbage collector sees that.
void fetch_error(const py::object& object) {
  const Self<Thread> thread = object.cast<Self<Thread>>();
  const std::exception_ptr error = host::error(*thread->core);
  const py::object converted =
      error ? exception_object(error, host::error_frames(*thread->core), thread->encoding) : py::none();
  if (thread->error_fetched) return;  // by another thread, meanwhile
  object.attr("_error_cache") = converted;
  thread->error_fetched = true;
  host::release_error(*thread->core);
}

void fetch_results(const py::object& object) {
  const Self<Thread> thread = object.cast<Self<Thread>>();
  const Values results = host::results(*thread->core);  // converting may run anything, this call as well
  const py::tuple converted = to_tuple(results, thread->encoding);
  if (thread->results_fetched) return;
  object.attr("_results_cache") = converted;
  thread->results_fetched = true;
  host::release_results(*thread->core);
}

py::object stack(Self<Thread> thread, double timeout) {
  std::optional<std::vector<Frame>> frames;
  {
    const GilRelease release;
    frames = host::stack(*thread->core, host::deadline_after(duration(timeout)));
  }
  return frames ? frames_to_python(*frames) : py::none();
}

py::dict statistics(Self<Thread> thread) {
  const ThreadStatistics now = host::statistics(*thread->core);
  using namespace py::literals;
  return py::dict("cpu_seconds"_a = now.cpu_seconds, "wall_seconds"_a = now.wall_seconds,
                  "memory"_a = now.memory, "peak_memory"_a = now.peak_memory,
                  "stops_asked"_a = now.stops_asked,
                  "waiting_for"_a =
                      now.waiting_for.empty() ? py::object(py::none()) : py::object(py::str(now.waiting_for)),
                  "waiting_seconds"_a = now.waiting_seconds);
}

void on_end(Self<Thread> thread, py::object callback) {
  auto function = std::make_shared<Reference>(std::move(callback));
  const GilRelease release;  // at once if it has ended: then it takes the GIL itself
  host::on_end(*thread->core, [function] {
    if (ending()) return;
    try {
      const GilHold gil;
      try {
        call(function->get(), py::tuple());
      } catch (py::error_already_set& error) {
        error.discard_as_unraisable(py::reinterpret_borrow<py::object>(function->get()));
      }
    } catch (const InterpreterEnding&) {
      return;  // nobody is left to be told
    }
  });
}

// For a thread whose object is gone: its error goes to sys.unraisablehook when it ends.
void report_end(Self<Thread> thread, std::string where) {
  const GilRelease release;
  // The callback is dropped once it has run, so that it may hold the core that holds it.
  host::on_end(*thread->core, [core = thread->core, encoding = thread->encoding, where = std::move(where)] {
    const std::exception_ptr error = host::error(*core);
    if (!error || ending()) return;
    try {
      const GilHold gil;
      try {
        write_unraisable(exception_object(error, host::error_frames(*core), encoding), py::str(where));
      } catch (py::error_already_set& failure) {
        failure.discard_as_unraisable(where.c_str());  // an error about the error: short of memory
      }
    } catch (const InterpreterEnding&) {
      return;  // nobody is left to be told
    }
  });
}

}  // namespace

int Thread::traverse(visitproc visit, void* arg) const {
  return at_rest ? visit_callables(host::objects_of(*core), visit, arg) : 0;
}

void write_unraisable(const py::object& exception, const py::object& where) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  PyErr_WriteUnraisable(where.ptr());
}

host::Core thread_core(py::handle object) {
  if (!py::isinstance<Thread>(object)) return nullptr;
  const Thread* thread = made<Thread>(object.ptr());
  return thread ? thread->core : nullptr;
}

void bind_thread(py::module_& module) {
  const auto release = py::call_guard<GilRelease>();
  py::class_<Thread>(module, "Thread",
                     "A native thread with a Lua state; osthread.OSThread is its public face.",
                     collectable<Thread>())
      .def(py::init(&make), py::arg("code"), py::arg("chunk_name"), py::arg("args"), py::arg("options"))
      .def_property_readonly("_key",
                             [](Self<Thread> t) { return reinterpret_cast<std::uintptr_t>(t->core.get()); })
      .def_property_readonly("_name", [](Self<Thread> t) { return host::options(*t->core).name; })
      .def_property_readonly("_status", [](Self<Thread> t) { return to_string(host::status(*t->core)); })
      .def_property_readonly("_ident", [](Self<Thread> t) { return host::ident(*t->core); })
      .def_property_readonly("_native_id", [](Self<Thread> t) { return host::native_id(*t->core); })
      .def("_ended", [](Self<Thread> t) { return host::ended(*t->core); })
      .def("_launch",
           [](Self<Thread> t) {
             t->at_rest = host::options(*t->core).suspended;
             const GilRelease released;
             host::launch(*t->core);
           })
      .def("_start",
           [](Self<Thread> t) {
             t->at_rest = false;
             const GilRelease released;
             host::start(*t->core);
           })
      .def("_discard",
           [](Self<Thread> t) {
             t->at_rest = false;
             const GilRelease released;
             host::discard(*t->core);
           })
      .def("_join", &join, py::arg("timeout"))
      .def(
          "_request_stop", [](Self<Thread> t) { return host::request_stop(*t->core); }, release)
      .def(
          "_interrupt", [](Self<Thread> t) { return host::interrupt(*t->core); }, release)
      .def(
          "_kill", [](Self<Thread> t) { return host::kill(*t->core); }, release)
      .def(
          "_pause", [](Self<Thread> t) { return host::pause(*t->core); }, release)
      .def("_wait_held", &wait_held, py::arg("timeout"))
      .def(
          "_resume", [](Self<Thread> t) { return host::resume(*t->core); }, release)
      .def("_terminate", &terminate, py::arg("grace"))
      .def("_terminate_later",
           [](Self<Thread> t) {
             t->at_rest = false;
             const GilRelease released;
             host::terminate_later(*t->core);
           })
      .def("_fetch_results", &fetch_results)
      .def("_fetch_error", &fetch_error)
      .def("_stack", &stack, py::arg("timeout"))
      .def("_statistics", &statistics)
      .def("_on_end", &on_end, py::arg("callback"))
      .def("_report_end", &report_end, py::arg("where"));
  module.def("write_unraisable", &write_unraisable, py::arg("exception"), py::arg("where"),
             "Gives an exception to sys.unraisablehook.");
  module.def("current_key", []() -> py::object {
    const host::Core core = host::current();
    if (!core) return py::none();
    return py::int_(reinterpret_cast<std::uintptr_t>(core.get()));
  });
}

}  // namespace osthread::python
