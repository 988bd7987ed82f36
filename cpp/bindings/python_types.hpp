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
  py::object shared;    // called with a class, a key, a Handle and an encoding: the object of it
  py::object told;      // called with the keys of AsyncWaits that may be over
  // Of the module _signal, which are no Python code: a signal would be answered in that.
  py::object getsignal;
  py::object sigint;  // its number
  py::object default_int_handler;
  py::object interrupted;  // called with what Ctrl-C has raised in a wait of ours; or None
};

// Never destroyed, as objects of the interpreter may not be after its end.
Types& types();

// Whether an object is of a class, by its type: isinstance() would ask its `__class__`, which may be code of
// the program's, and lie.
inline bool is_of(py::handle object, py::handle type) noexcept {
  return PyObject_TypeCheck(object.ptr(), reinterpret_cast<PyTypeObject*>(type.ptr())) != 0;
}
template <class T>
bool is_of(py::handle object) {
  return is_of(object, py::type::handle_of<T>());
}

}  // namespace osthread::python
