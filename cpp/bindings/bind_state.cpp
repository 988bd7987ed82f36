#include <pybind11/stl.h>

#include "bindings.hpp"
#include "osthread/lua_state.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"

namespace osthread::python {
namespace {

struct State {
  Encoding encoding;
  LuaState state;
  State(Encoding e, StateOptions options) : encoding(std::move(e)), state(std::move(options)) {}
};

std::unique_ptr<State> make(const py::dict& options) {
  Encoding encoding = encoding_of(options);
  StateOptions target = state_options(options, encoding);
  const py::gil_scoped_release release;
  return std::make_unique<State>(std::move(encoding), std::move(target));
}

// Runs without the GIL; Ctrl-C ends the code, and then is what comes out.
template <class Run>
py::object run(State& state, Run body) {
  stand_before_sigint();
  Values values;
  std::exception_ptr failure;
  {
    const py::gil_scoped_release release;
    try {
      values = body(state.state);
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
  }
  if (const py::object interrupt = take_signal_error()) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(interrupt.ptr())), interrupt.ptr());
    throw py::error_already_set();
  }
  if (failure) raise(failure, {}, state.encoding);
  return unpack(to_tuple(values, state.encoding));
}

py::object execute(State& state, const py::object& code, const std::string& chunk_name,
                   const py::tuple& args) {
  const Code source = py::isinstance<FunctionValue>(code)
                          ? Code(code.cast<const FunctionValue&>().value)
                          : Code(std::string(py::reinterpret_borrow<py::bytes>(code)), chunk_name);
  const Values values = to_values(args, "args", state.encoding);
  return run(state, [&](LuaState& lua) { return lua.execute(source, values); });
}

py::object eval(State& state, const std::string& expression) {
  return run(state, [&](LuaState& lua) { return lua.eval(expression); });
}

py::object call_global(State& state, const std::string& name, const py::tuple& args) {
  const Values values = to_values(args, "args", state.encoding);
  return run(state, [&](LuaState& lua) { return lua.call(name, values); });
}

py::object get(State& state, const std::string& name) {
  Value value;
  {
    const py::gil_scoped_release release;
    value = state.state.get(name);
  }
  return to_python(value, state.encoding);
}

void set(State& state, const std::string& name, const py::object& object) {
  const Value value = to_value(object, name, state.encoding);
  const py::gil_scoped_release release;
  state.state.set(name, value);
}

py::object get_time_limit(const State& state) {
  const auto limit = state.state.time_limit();
  if (!limit) return py::none();
  return py::float_(std::chrono::duration<double>(*limit).count());
}

void set_time_limit(State& state, std::optional<double> seconds) {
  state.state.set_time_limit(seconds ? std::optional(duration(*seconds)) : std::nullopt);
}

py::dict statistics(const State& state) {
  const StateStatistics now = state.state.statistics();
  using namespace py::literals;
  return py::dict("memory"_a = now.memory, "peak_memory"_a = now.peak_memory);
}

}  // namespace

void bind_state(py::module_& module) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  py::class_<State>(module, "State", "A Lua state without a thread; osthread.LuaState is its public face.",
                    py::release_gil_before_calling_cpp_dtor())
      .def(py::init(&make), py::arg("options"))
      .def("_execute", &execute, py::arg("code"), py::arg("chunk_name"), py::arg("args"))
      .def("_eval", &eval, py::arg("expression"))
      .def("_call_global", &call_global, py::arg("name"), py::arg("args"))
      .def("_get", &get, py::arg("name"))
      .def("_set", &set, py::arg("name"), py::arg("value"))
      .def_property("_time_limit", &get_time_limit, &set_time_limit)
      .def("_statistics", &statistics)
      .def(
          "_interrupt", [](State& s) { return s.state.interrupt(); }, release)
      .def(
          "_close", [](State& s) { s.state.close(); }, release)
      .def(
          "_closed", [](const State& s) { return s.state.closed(); }, release);
}

}  // namespace osthread::python
