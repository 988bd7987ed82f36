// What Python's garbage collector has to see of an object that holds a Lua state: the Python callables in it.
// With the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <memory>
#include <vector>

#include "host.hpp"
#include "osthread/value.hpp"
#include "python_function.hpp"
#include "python_types.hpp"

namespace osthread::python {

// The C++ object of a bound class behind a Python one; null before its __init__ has made it.
template <class T>
T* made(PyObject* self) noexcept {
  auto* instance = reinterpret_cast<py::detail::instance*>(self);
  // Of one bound class alone: what nearly all are, and then there is nothing to look up.
  if (instance->simple_layout)
    return instance->simple_holder_constructed ? static_cast<T*>(instance->simple_value_holder[0]) : nullptr;
  // The collector may come while pybind11 is still laying it out.
  if (!instance->nonsimple.values_and_holders) return nullptr;
  const py::detail::value_and_holder value =
      instance->get_value_and_holder(py::detail::get_type_info(typeid(T)), false);
  if (!value.inst) return nullptr;
  return value.holder_constructed() ? static_cast<T*>(value.value_ptr()) : nullptr;
}

// The Python exception that an error object of Lua's is, if nothing else holds it; or null.
inline PyObject* exception_in(const Object& object) noexcept {
  const std::exception_ptr exception = host::exception_of(object);
  if (!exception) return nullptr;
  try {
    std::rethrow_exception(exception);
  } catch (const PythonError& error) {
    return error.has_copies() ? nullptr : error.exception().get().ptr();
  } catch (...) {
    return nullptr;
  }
}

// Tells the collector of the callables and exceptions among `objects`, of each of which its one reference is
// known to be held by the visited object alone. (An exception's traceback leads to whoever called the state.)
inline int visit_held(const std::vector<Object*>& objects, visitproc visit, void* arg) {
  for (const Object* object : objects) {
    if (const auto* function = dynamic_cast<const PythonFunction*>(object))
      Py_VISIT(function->callable().ptr());
    else
      Py_VISIT(exception_in(*object));
  }
  return 0;
}

// Makes T, which has a method `int traverse(visitproc, void*) const`, known to the collector. What breaks a
// cycle is the __del__ of the Python class, which ends the state while everything in the cycle is still
// whole.
template <class T>
py::custom_type_setup collectable() {
  return py::custom_type_setup([](PyHeapTypeObject* heap_type) {
    PyTypeObject* type = &heap_type->ht_type;
    type->tp_flags |= Py_TPFLAGS_HAVE_GC;
    type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
      Py_VISIT(Py_TYPE(self));
      const T* object = made<T>(self);
      return object ? object->traverse(visit, arg) : 0;
    };
    type->tp_clear = [](PyObject*) -> int { return 0; };
  });
}

// The same, or an error that says that its __init__ has not run.
template <class T>
T* made_self(PyObject* self) {
  if (T* object = made<T>(self)) return object;
  PyErr_Format(PyExc_RuntimeError,
               "%s.__init__() has not been called: a subclass calls super().__init__() before it uses the "
               "object",
               Py_TYPE(self)->tp_name);
  throw py::error_already_set();
}

// An argument `self` of a bound class whose __init__ has run: anything else is an error that says so.
template <class T>
class Self {
 public:
  explicit Self(T* object) : object_(object) {}
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }

 private:
  T* object_;
};

}  // namespace osthread::python

namespace pybind11::detail {

template <class T>
struct type_caster<osthread::python::Self<T>> {
 public:
  static constexpr auto name = make_caster<T>::name;
  template <class>
  using cast_op_type = osthread::python::Self<T>;
  explicit operator osthread::python::Self<T>() const { return osthread::python::Self<T>(object_); }

  bool load(handle source, bool) {
    if (!osthread::python::is_of<T>(source)) return false;
    object_ = osthread::python::made_self<T>(source.ptr());
    return true;
  }

 private:
  T* object_ = nullptr;
};

}  // namespace pybind11::detail
