#include <pybind11/stl.h>

#include "bindings.hpp"
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
    const py::gil_scoped_release release;
    core = host::create(compiled, std::move(values), std::move(target));
  }
  return std::make_unique<Thread>(std::move(core), std::move(encoding));
}

std::optional<Clock::time_point> deadline_of(std::optional<double> timeout) {
  if (!timeout) return std::nullopt;
  return host::deadline_after(duration(*timeout));
}

bool join(const Thread& thread, std::optional<double> timeout) {
  const auto deadline = deadline_of(timeout);
  stand_before_sigint();
  for (;;) {
    if (host::ended(*thread.core)) return true;
    host::Wait outcome;
    {
      const py::gil_scoped_release release;
      outcome = host::wait(*thread.core, deadline);
    }
    if (outcome == host::Wait::interrupted) look_at_signals();
    if (outcome == host::Wait::stopped) std::rethrow_exception(host::stopped());
    if (outcome == host::Wait::ended) return true;
    if (outcome == host::Wait::timed_out) return false;
  }
}

std::string terminate(const Thread& thread, double grace) {
  std::exception_ptr raised;
  Status status;
  stand_before_sigint();
  {
    const py::gil_scoped_release release;
    status = host::terminate(*thread.core, duration(grace), [&raised] {
      const py::gil_scoped_acquire acquire;
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
    host::terminate_later(*thread.core);
    std::rethrow_exception(raised);
  }
  return to_string(status);
}

py::object results(const Thread& thread) {
  if (const std::exception_ptr error = host::error(*thread.core))
    raise(error, host::error_frames(*thread.core), thread.encoding);
  return to_tuple(host::results(*thread.core), thread.encoding);
}

py::object exception(const Thread& thread) {
  const std::exception_ptr error = host::error(*thread.core);
  if (!error) return py::none();
  return exception_object(error, host::error_frames(*thread.core), thread.encoding);
}

py::object stack(const Thread& thread, double timeout) {
  std::optional<std::vector<Frame>> frames;
  {
    const py::gil_scoped_release release;
    frames = host::stack(*thread.core, host::deadline_after(duration(timeout)));
  }
  return frames ? frames_to_python(*frames) : py::none();
}

py::dict statistics(const Thread& thread) {
  const ThreadStatistics now = host::statistics(*thread.core);
  using namespace py::literals;
  return py::dict("cpu_seconds"_a = now.cpu_seconds, "wall_seconds"_a = now.wall_seconds,
                  "memory"_a = now.memory, "peak_memory"_a = now.peak_memory,
                  "stops_asked"_a = now.stops_asked,
                  "waiting_for"_a =
                      now.waiting_for.empty() ? py::object(py::none()) : py::object(py::str(now.waiting_for)),
                  "waiting_seconds"_a = now.waiting_seconds);
}

void on_end(const Thread& thread, py::object callback) {
  auto function = std::make_shared<Reference>(std::move(callback));
  const py::gil_scoped_release release;  // at once if it has ended: then it takes the GIL itself
  host::on_end(*thread.core, [function] {
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
void report_end(const Thread& thread, std::string where) {
  const py::gil_scoped_release release;
  // The callback is dropped once it has run, so that it may hold the core that holds it.
  host::on_end(*thread.core, [core = thread.core, encoding = thread.encoding, where = std::move(where)] {
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

void write_unraisable(const py::object& exception, const py::object& where) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  PyErr_WriteUnraisable(where.ptr());
}

host::Core thread_core(py::handle object) {
  return py::isinstance<Thread>(object) ? object.cast<const Thread&>().core : nullptr;
}

void bind_thread(py::module_& module) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  py::class_<Thread>(module, "Thread",
                     "A native thread with a Lua state; osthread.OSThread is its public face.")
      .def(py::init(&make), py::arg("code"), py::arg("chunk_name"), py::arg("args"), py::arg("options"))
      .def_property_readonly("_key",
                             [](const Thread& t) { return reinterpret_cast<std::uintptr_t>(t.core.get()); })
      .def_property_readonly("_name", [](const Thread& t) { return host::options(*t.core).name; })
      .def_property_readonly("_status", [](const Thread& t) { return to_string(host::status(*t.core)); })
      .def_property_readonly("_ident", [](const Thread& t) { return host::ident(*t.core); })
      .def_property_readonly("_native_id", [](const Thread& t) { return host::native_id(*t.core); })
      .def("_ended", [](const Thread& t) { return host::ended(*t.core); })
      .def(
          "_launch", [](const Thread& t) { host::launch(*t.core); }, release)
      .def(
          "_start", [](const Thread& t) { host::start(*t.core); }, release)
      .def(
          "_discard", [](const Thread& t) { host::discard(*t.core); }, release)
      .def("_join", &join, py::arg("timeout"))
      .def(
          "_request_stop", [](const Thread& t) { return host::request_stop(*t.core); }, release)
      .def(
          "_interrupt", [](const Thread& t) { return host::interrupt(*t.core); }, release)
      .def("_terminate", &terminate, py::arg("grace"))
      .def(
          "_terminate_later", [](const Thread& t) { host::terminate_later(*t.core); }, release)
      .def("_results", &results)
      .def("_exception", &exception)
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
