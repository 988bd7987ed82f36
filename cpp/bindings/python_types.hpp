// The Python classes that the bindings make objects of but do not define: the layer above hands them over
// once, since nothing here may import from there.
#pragma once

#include <pybind11/pybind11.h>

namespace osthread::python {

namespace py = pybind11;

struct Types {
  py::object errors;    // the module of error classes
  py::object function;  // LuaFunction: made from a FunctionValue, which is its `_value`
  py::object thread;    // called with a Thread's key: the OSThread object of it
};

// Never destroyed, as objects of the interpreter may not be after its end.
Types& types();

}  // namespace osthread::python
