#include <pybind11/stl.h>

#include "bindings.hpp"
#include "collectable.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_shared.hpp"
#include "python_thread.hpp"
#include "python_wait.hpp"

namespace osthread::python {
namespace {

Code code_of(const py::object& code, const std::string& chunk_name) {
  if (is_of<FunctionValue>(code)) return Code(code.cast<const FunctionValue&>().value);
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

std::unique_ptr<Thread> adopt(const ThreadValue& handle) {
  if (host::forgotten(*host::thread_of(handle.value)))
    throw std::runtime_error("the OSThread object of this thread is gone");
  return std::make_unique<Thread>(handle.value);
}

bool join(Self<Thread> thread, const py::object& timeout) {
  const auto deadline = deadline_of(timeout);
  if (!host::settled(*thread->core)) return wait_for([&] { return host::wait(*thread->core, deadline); });
  drop_dead_references();
  return true;
}

bool wait_held(Self<Thread> thread, double timeout) {
  const Clock::time_point deadline = host::deadline_after(duration(timeout));
  (void)wait_for([&] { return host::wait_held(*thread->core, deadline); });
  return host::held(*thread->core);
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
  host::note_fetched(*thread->core);
  if (thread->adopted.is_nil()) host::release_error(*thread->core);
}

void fetch_results(const py::object& object) {
  const Self<Thread> thread = object.cast<Self<Thread>>();
  const Values results = host::results(*thread->core);  // converting may run anything, this call as well
  const py::tuple converted = to_tuple(results, thread->encoding);
  if (thread->results_fetched) return;
  object.attr("_results_cache") = converted;
  thread->results_fetched = true;
  if (thread->adopted.is_nil()) host::release_results(*thread->core);
}

py::object stack(Self<Thread> thread, double timeout) {
  std::optional<std::vector<Frame>> frames;
  {
    const GilRelease release;
    frames = host::stack(*thread->core, host::deadline_after(duration(timeout)));
  }
  return frames ? frames_to_python(*frames) : py::none();
}

py::tuple to_strings(const std::vector<std::string>& names) {
  py::tuple strings(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) strings[i] = names[i];
  return strings;
}

py::dict statistics(Self<Thread> thread) {
  const ThreadStatistics now = host::statistics(*thread->core);
  using namespace py::literals;
  return py::dict("cpu_seconds"_a = now.cpu_seconds, "wall_seconds"_a = now.wall_seconds,
                  "memory"_a = now.memory, "peak_memory"_a = now.peak_memory,
                  "stops_asked"_a = now.stops_asked,
                  "waiting_for"_a =
                      now.waiting_for.empty() ? py::object(py::none()) : py::object(py::str(now.waiting_for)),
                  "waiting_seconds"_a = now.waiting_seconds, "leaked"_a = to_strings(now.leaked));
}

// The channel of the option `notify` gets the Python object that `itself` (a weak reference) has by then, and
// the object stays until somebody has received it.
void announce(Self<Thread> thread, py::object itself) {
  auto reference = std::make_shared<Reference>(std::move(itself));
  const std::weak_ptr<ThreadCore> weak = thread->core;
  host::announce_as(*thread->core, [reference, weak]() -> Value {
    if (ending()) return {};
    try {
      const GilHold gil;
      py::object object = call(reference->get());
      if (object.is_none()) return {};
      return host::thread_value(weak.lock(), std::make_shared<Reference>(std::move(object)));
    } catch (const InterpreterEnding&) {
      return {};  // nobody is left to be told
    }
  });
}

void on_end(Self<Thread> thread, py::object callback) {
  auto function = std::make_shared<Reference>(std::move(callback));
  const GilRelease release;  // at once if it has ended: then it takes the GIL itself
  host::on_end(*thread->core, [function] {
    if (ending()) return;
    try {
      const GilHold gil;
      try {
        call(function->get());
      } catch (py::error_already_set& error) {
        discard(error, function->get());
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
        discard(failure, where.c_str());  // an error about the error: short of memory
      }
    } catch (const InterpreterEnding&) {
      return;  // nobody is left to be told
    }
  });
}

// The error of a thread whose last owner was Lua code, or Python's last handle of one.
void report_lost(ThreadCore& core, bool dropped) noexcept {
  if (ending()) return;
  try {
    const GilHold gil;
    const py::error_scope pending;
    try {
      const std::string name = "the OSThread '" + host::options(core).name + "', started from Lua";
      if (dropped) {
        const std::string text = name +
                                 ", was dropped while it was running, and is terminated; keep a reference "
                                 "to it, use osthread.with, or call detach()";
        if (!warn(PyExc_ResourceWarning, text)) PyErr_Clear();  // it is said below, too
        write_unraisable(exception_object(host::error(core), {}, "utf-8"), py::str(text));
      } else {
        write_unraisable(exception_object(host::error(core), host::error_frames(core), "utf-8"),
                         py::str(name + ", whose error nobody asked for"));
      }
    } catch (py::error_already_set& failure) {
      discard(failure, "an error about the error of an OSThread");  // short of memory
    }
  } catch (const InterpreterEnding&) {
    return;  // nobody is left to be told
  }
}

py::dict own_options(Self<Thread> thread) {
  using namespace py::literals;
  const ThreadOptions& options = host::options(*thread->core);
  constexpr const char* kPolicies[] = {"join", "terminate", "detach"};
  py::dict own("name"_a = options.name, "on_exit"_a = kPolicies[static_cast<int>(options.on_exit)],
               "grace"_a = std::chrono::duration<double>(options.grace).count(),
               "libraries"_a = options.libraries);
  if (options.time_limit) own["time_limit"] = std::chrono::duration<double>(*options.time_limit).count();
  if (options.memory_limit != 0) own["memory_limit"] = options.memory_limit;
  return own;
}

// Another handle of a thread that Python knows already: it may be the first that owns it.
void hold(Self<Thread> thread, const ThreadValue& handle) {
  if (!thread->adopted.is_nil() && !host::is_owner(thread->adopted)) thread->adopted = handle.value;
}

void detach_adopted(Self<Thread> thread) {
  if (!host::is_owner(thread->adopted))
    throw std::logic_error("this OSThread has an owner elsewhere, who alone can detach it");
  const GilRelease release;
  host::detach(thread->adopted);
}

py::list alive() {
  py::list handles;
  for (host::Core& core : host::alive())
    if (!host::forgotten(*core)) handles.append(ThreadValue{host::thread_value(std::move(core))});
  return handles;
}

}  // namespace

int Thread::traverse(visitproc visit, void* arg) const {
  return at_rest ? visit_held(host::objects_of(*core), visit, arg) : 0;
}

void write_unraisable(const py::object& exception, const py::object& where) {
  set_object(exception);
  write_raised(where);
}

const Thread* thread_in(py::handle object) {
  return is_of<Thread>(object) ? made<Thread>(object.ptr()) : nullptr;
}

void bind_thread(py::module_& module) {
  const auto release = py::call_guard<GilRelease>();
  host::set_lost_thread_reporter(&report_lost);
  py::class_<ThreadValue>(module, "ThreadValue", "A handle of a thread that has no OSThread yet.")
      .def_property_readonly("key", [](const ThreadValue& handle) {
        return reinterpret_cast<std::uintptr_t>(host::thread_of(handle.value).get());
      });
  py::class_<Thread>(module, "Thread",
                     "A native thread with a Lua state; osthread.OSThread is its public face.",
                     collectable<Thread>())
      .def(py::init(&make), py::arg("code"), py::arg("chunk_name"), py::arg("args"), py::arg("options"))
      .def(py::init(&adopt), py::arg("handle"))
      .def("_hold", &hold, py::arg("handle"))
      .def("_detach_adopted", &detach_adopted)
      .def("_is_detached", [](Self<Thread> t) { return host::detached(*t->core); })
      .def("_own_options", &own_options)
      .def_property_readonly("_key",
                             [](Self<Thread> t) { return reinterpret_cast<std::uintptr_t>(t->core.get()); })
      .def_property_readonly("_name", [](Self<Thread> t) { return host::options(*t->core).name; })
      .def_property_readonly("_status", [](Self<Thread> t) { return to_string(host::status(*t->core)); })
      .def_property_readonly("_ident", [](Self<Thread> t) { return host::ident(*t->core); })
      .def_property_readonly("_native_id", [](Self<Thread> t) { return host::native_id(*t->core); })
      .def("_ended", [](Self<Thread> t) { return host::ended(*t->core); })
      .def("_mailbox",
           [](Self<Thread> t) { return shared_to_python(host::mailbox(*t->core).to_value(), t->encoding); })
      .def("_announce", &announce, py::arg("itself"))
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
  module.def("current_thread", []() -> py::object {
    const host::Core core = host::current();
    if (!core || host::forgotten(*core)) return py::none();
    return py::cast(ThreadValue{host::thread_value(core)});
  });
  module.def("alive_threads", &alive, "Handles of all that run, whoever has started them.");
  module.def("current_key", []() -> py::object {
    const host::Core core = host::current();
    if (!core) return py::none();
    return py::int_(reinterpret_cast<std::uintptr_t>(core.get()));
  });
}

}  // namespace osthread::python
