#include <pybind11/stl.h>

#include "bindings.hpp"
#include "collectable.hpp"
#include "osthread/lua_state.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"

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
  Encoding encoding = encoding_of(options);
  std::weak_ptr<Reference> output;
  StateOptions target = state_options(options, encoding, &output);
  return std::make_unique<State>(std::move(encoding), std::move(target), std::move(output));
}

// Does something in the state without the GIL; Ctrl-C ends it, and then is what comes out.
template <class Body>
auto within(State& state, Body body) {
  stand_before_sigint();
  std::invoke_result_t<Body, LuaState&> result;
  std::exception_ptr failure;
  ++state.users;
  {
    const GilRelease release;
    try {
      result = body(*state.state);
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
  }
  --state.users;
  drop_dead_references();
  if (const py::object interrupt = take_signal_error()) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(interrupt.ptr())), interrupt.ptr());
    throw py::error_already_set();
  }
  if (failure) look_at_signals();  // one may have ended it before anybody could look
  if (failure) raise(failure, state.state->error_frames(), state.encoding);
  return result;
}

template <class Run>
py::object run(State& state, Run body) {
  return unpack(to_tuple(within(state, body), state.encoding));
}

py::object execute(Self<State> state, const py::object& code, const std::string& chunk_name,
                   const py::tuple& args) {
  const Code source = py::isinstance<FunctionValue>(code)
                          ? Code(code.cast<const FunctionValue&>().value)
                          : Code(std::string(py::reinterpret_borrow<py::bytes>(code)), chunk_name);
  const Values values = to_values(args, "args", state->encoding);
  return run(*state, [&](LuaState& lua) { return lua.execute(source, values); });
}

py::object eval(Self<State> state, const std::string& expression) {
  return run(*state, [&](LuaState& lua) { return lua.eval(expression); });
}

py::object call_global(Self<State> state, const std::string& name, const py::tuple& args) {
  const Values values = to_values(args, "args", state->encoding);
  return run(*state, [&](LuaState& lua) { return lua.call(name, values); });
}

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
  py::class_<State>(module, "State", "A Lua state without a thread; osthread.LuaState is its public face.",
                    collectable<State>())
      .def(py::init(&make), py::arg("options"))
      .def("_execute", &execute, py::arg("code"), py::arg("chunk_name"), py::arg("args"))
      .def("_eval", &eval, py::arg("expression"))
      .def("_call_global", &call_global, py::arg("name"), py::arg("args"))
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
}

}  // namespace osthread::python
