#include "python_wait.hpp"

#include <algorithm>

namespace osthread::python {

std::optional<double> seconds_of(const py::object& timeout) {
  if (timeout.is_none()) return std::nullopt;
  PyObject* const o = timeout.ptr();
  const PyNumberMethods* numbers = Py_TYPE(o)->tp_as_number;
  if (PyBool_Check(o) || !(PyIndex_Check(o) || (numbers && numbers->nb_float)))
    throw py::type_error(std::string("timeout must be seconds or None, not ") + Py_TYPE(o)->tp_name);
  const double seconds = PyFloat_AsDouble(o);
  if (seconds == -1 && PyErr_Occurred()) {
    if (PyErr_ExceptionMatches(PyExc_OverflowError))
      PyErr_SetString(PyExc_OverflowError, "timeout is too large: a number of seconds must fit into a float");
    throw py::error_already_set();
  }
  if (seconds != seconds) throw py::value_error("timeout must be a number of seconds, not nan");
  return std::max(seconds, 0.0);
}

std::optional<Clock::time_point> deadline_of(const py::object& timeout) {
  const std::optional<double> seconds = seconds_of(timeout);
  if (!seconds) return std::nullopt;
  return host::deadline_after(duration(*seconds));
}

}  // namespace osthread::python
