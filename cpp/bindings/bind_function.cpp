#include "bindings.hpp"
#include "osthread/lua_state.hpp"
#include "python_function.hpp"

namespace osthread::python {
namespace {

// A chunk or a function expression, as a function that can be handed to any state.
FunctionValue compile(const py::bytes& source, const std::string& chunk_name) {
  const Code code(std::string(source), chunk_name);
  const py::gil_scoped_release release;
  return {compile_function(code)};
}

// For pickling. Of a function that came out of a state everything it is made of crosses, as Python objects.
py::tuple get_state(const FunctionValue& function) {
  const Encoding bytes;
  if (function.value.type() == Value::Type::library)
    return py::make_tuple(py::bytes(std::string(function.value.bytes())));
  const FunctionData& data = function.value.function();
  py::list upvalues;
  for (const Value& upvalue : data.upvalues) {
    if (upvalue.type() == Value::Type::function && &upvalue.function() == &data)
      upvalues.append(py::ellipsis());  // itself
    else if (upvalue.type() == Value::Type::library || upvalue.type() == Value::Type::function)
      upvalues.append(py::cast(FunctionValue{Value(upvalue)}));
    else
      upvalues.append(to_python(upvalue, bytes));
  }
  return py::make_tuple(py::bytes(data.bytecode), data.name, upvalues, features().luajit);
}

FunctionValue set_state(const py::tuple& state) {
  if (state.size() == 1) return {Value::library(std::string(state[0].cast<py::bytes>()))};
  const auto made_by = state[3].cast<std::string>();
  if (made_by != features().luajit)
    throw py::value_error("this LuaFunction was pickled under " + made_by + ", whose bytecode " +
                          features().luajit + " does not run; compile it again from its source");
  auto* graph = new Graph;
  FunctionData& data = graph->add_function();
  FunctionValue function{Graph::outer(data)};
  graph->release();  // the value keeps it
  data.bytecode = state[0].cast<std::string>();
  data.name = state[1].cast<std::string>();
  for (const py::handle upvalue : py::reinterpret_borrow<py::list>(state[2])) {
    if (upvalue.is(py::ellipsis()))
      data.upvalues.push_back(Graph::inner(data));
    else if (py::isinstance<FunctionValue>(upvalue))
      data.upvalues.push_back(upvalue.cast<const FunctionValue&>().value);
    else
      data.upvalues.push_back(to_value(upvalue, "upvalue", Encoding()));
  }
  return function;
}

std::string name_of(const FunctionValue& function) {
  return function.value.type() == Value::Type::library ? std::string(function.value.bytes())
                                                       : function.value.function().name;
}

}  // namespace

void bind_function(py::module_& module) {
  py::class_<FunctionValue>(module, "FunctionValue", "A Lua function outside of any state.")
      .def_property_readonly("name", &name_of)
      .def(py::pickle(&get_state, &set_state));
  module.def("compile", &compile, py::arg("source"), py::arg("chunk_name"));
}

}  // namespace osthread::python
