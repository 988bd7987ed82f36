#include <pybind11/stl.h>

#include "bindings.hpp"
#include "collectable.hpp"
#include "osthread/lua_state.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_types.hpp"

namespace osthread::python {
namespace {

struct State {
  Encoding encoding;
  std::optional<LuaState> state;
  std::weak_ptr<Reference> output;
  int users = 0;  // threads that are in it, or about to be; of the GIL

  State(Encoding e, StateOptions options, std::weak_ptr<Reference> to)
      : encoding(std::move(e)), output(std::move(to)) {
    const GilRelease release;
    state.emplace(std::move(options));
  }
  ~State() {
    const GilRelease release;
    state.reset();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int traverse(visitproc visit, void* arg) const {
    if (users != 0 || !state) return 0;
    if (output.use_count() == 1) Py_VISIT(output.lock()->get().ptr());
    return visit_held(host::objects_of(*state), visit, arg);
  }
};

std::unique_ptr<State> make(const py::dict& options) {
  // So that most programs' calls find it done, the first ones as well.
  stand_before_sigint();
  Encoding encoding = encoding_of(options);
  std::weak_ptr<Reference> output;
  StateOptions target = state_options(options, encoding, &output);
  return std::make_unique<State>(std::move(encoding), std::move(target), std::move(output));
}

// Does something in the state without the GIL; Ctrl-C ends it, and then is what comes out.
template <class Body>
auto within_looked_after(State& state, Body body) {
  std::invoke_result_t<Body, LuaState&> result;
  std::exception_ptr failure;
  ++state.users;
  try {
    const GilRelease release;
    result = body(*state.state);
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  --state.users;
  drop_dead_references();
  if (const py::object interrupt = take_signal_error()) raise_object(interrupt);
  if (failure) look_at_signals();  // one may have ended it before anybody could look
  if (failure) raise(failure, state.state->error_frames(), state.encoding);
  return result;
}

template <class Body>
auto within(State& state, Body body) {
  stand_before_sigint();
  return within_looked_after(state, std::move(body));
}

template <class Run>
py::object run(State& state, Run body) {
  return unpack(within(state, body), state.encoding);
}

py::object execute(Self<State> state, const py::object& code, const std::string& chunk_name,
                   const py::tuple& args) {
  const Code source = is_of<FunctionValue>(code)
                          ? Code(code.cast<const FunctionValue&>().value)
                          : Code(std::string(py::reinterpret_borrow<py::bytes>(code)), chunk_name);
  const Values values = to_values(args, "args", state->encoding);
  return run(*state, [&](LuaState& lua) { return lua.execute(source, values); });
}

py::object eval(Self<State> state, const std::string& expression) {
  return run(*state, [&](LuaState& lua) { return lua.eval(expression); });
}

py::object call_function(State& state, py::handle function, std::span<PyObject* const> objects) {
  const Values args = to_values(objects, "args", state.encoding);
  const Code code(function.attr("_value").cast<const FunctionValue&>().value);
  return run(state, [&](LuaState& lua) { return lua.execute(code, args); });
}

py::object call_global(State& state, py::handle name, std::span<PyObject* const> objects) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (!bytes) throw py::error_already_set();
  const std::string_view dotted_name(bytes, static_cast<std::size_t>(size));
  const Arguments args(objects, "args", state.encoding);
  return unpack(
      within_looked_after(
          state, [&](LuaState& lua) { return host::call_looked_after(lua, dotted_name, args.values()); }),
      state.encoding);
}

constexpr const char* kCallDoc =
    "call($self, function, /, *args)\n--\n\n"
    "Calls a LuaFunction, or the global function of a dotted name.";

// A method of the interpreter's own kind: what pybind11 does for each call takes longer than this one.
PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  try {
    State& state = *made_self<State>(self);
    if (count == 0) throw py::type_error("call() takes a LuaFunction or the name of a global function");
    const std::span<PyObject* const> rest(args + 1, static_cast<std::size_t>(count - 1));
    if (PyUnicode_Check(args[0])) return call_global(state, args[0], rest).release().ptr();
    if (is_of(args[0], types().function)) return call_function(state, args[0], rest).release().ptr();
    throw py::type_error(std::string("call() takes a LuaFunction or the name of a global function, not ") +
                         Py_TYPE(args[0])->tp_name);
  } catch (const std::exception&) {
    set_error(std::current_exception());
    return nullptr;
  }
}

PyMethodDef call_method = {"call", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
                           METH_FASTCALL, kCallDoc};

py::object get(Self<State> state, const std::string& name) {
  return to_python(within(*state, [&](LuaState& lua) { return lua.get(name); }), state->encoding);
}

void set(Self<State> state, const std::string& name, const py::object& object) {
  const Value value = to_value(object, name, state->encoding);
  within(*state, [&](LuaState& lua) {
    lua.set(name, value);
    return true;
  });
}

void close(Self<State> state) {
  within(*state, [](LuaState& lua) {
    lua.close();
    return true;
  });
}

py::object get_time_limit(Self<State> state) {
  const auto limit = state->state->time_limit();
  if (!limit) return py::none();
  return py::float_(std::chrono::duration<double>(*limit).count());
}

void set_time_limit(Self<State> state, std::optional<double> seconds) {
  state->state->set_time_limit(seconds ? std::optional(duration(*seconds)) : std::nullopt);
}

py::dict statistics(Self<State> state) {
  const StateStatistics now = state->state->statistics();
  using namespace py::literals;
  return py::dict("memory"_a = now.memory, "peak_memory"_a = now.peak_memory);
}

}  // namespace

void bind_state(py::module_& module) {
  const auto release = py::call_guard<GilRelease>();
  py::class_<State> type(module, "State",
                         "A Lua state without a thread; osthread.LuaState is its public face.",
                         collectable<State>());
  type.def(py::init(&make), py::arg("options"))
      .def("_execute", &execute, py::arg("code"), py::arg("chunk_name"), py::arg("args"))
      .def("_eval", &eval, py::arg("expression"))
      .def("_get", &get, py::arg("name"))
      .def("_set", &set, py::arg("name"), py::arg("value"))
      .def_property("_time_limit", &get_time_limit, &set_time_limit)
      .def("_statistics", &statistics)
      .def(
          "_interrupt", [](Self<State> s) { return s->state->interrupt(); }, release)
      .def(
          "_kill", [](Self<State> s) { return s->state->kill(); }, release)
      .def("_close", &close)
      .def(
          "_closed", [](Self<State> s) { return s->state->closed(); }, release);
  const auto method = py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &call_method));
  if (!method) throw py::error_already_set();
  type.attr("call") = method;
}

}  // namespace osthread::python
