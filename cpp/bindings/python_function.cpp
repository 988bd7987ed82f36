#include "python_function.hpp"

#include "bindings.hpp"
#include "python_errors.hpp"
#include "python_types.hpp"

namespace osthread::python {

PythonError carry(py::error_already_set& error) {
  std::string text;
  try {
    const Reference told = called([&] { return PyObject_Str(error.value().ptr()); });
    // It may hold surrogates.
    const auto bytes = py::reinterpret_steal<py::object>(
        PyUnicode_AsEncodedString(told.get().ptr(), "utf-8", "backslashreplace"));
    if (!bytes) throw py::error_already_set();
    const std::string name = reinterpret_cast<PyTypeObject*>(error.type().ptr())->tp_name;
    text = name.substr(name.rfind('.') + 1) + ": " + bytes.cast<std::string>();
  } catch (py::error_already_set&) {
    text = "a Python exception whose text can't be had";
  }
  py::object exception = error.value();
  if (error.trace()) PyException_SetTraceback(exception.ptr(), error.trace().ptr());
  const py::object errors = types().errors;
  const bool is_stop =
      is_of(exception, errors.attr("Stopped")) || is_of(exception, errors.attr("LuaTimeout"));
  return PythonError(std::make_shared<Reference>(std::move(exception)), text, is_stop);
}

Values PythonFunction::call(Values args) {
  const GilHold gil;
  try {
    // References, as what dies here may have a `__del__`.
    const Reference given(to_tuple(args, encoding_, "args"));
    args.clear();
    const Reference returned(python::call(callable_.get(), py::reinterpret_borrow<py::tuple>(given.get())));
    const py::handle result = returned.get();
    if (result.is_none()) return {};
    if (py::isinstance<py::tuple>(result))
      return to_values(py::reinterpret_borrow<py::tuple>(result), "results", encoding_);
    return to_values(py::make_tuple(result), "results", encoding_);
  } catch (py::error_already_set& error) {
    note_interrupt(error);
    throw carry(error);
  }
}

OutputFunction output_to(std::shared_ptr<Reference> callable) {
  return [target = std::move(callable)](std::string_view bytes) {
    const GilHold gil;
    try {
      const auto text = py::reinterpret_steal<py::object>(
          PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace"));
      if (!text) throw py::error_already_set();
      const Reference returned(python::call(target->get(), py::make_tuple(text)));
    } catch (py::error_already_set& error) {
      note_interrupt(error);
      throw carry(error);
    }
  };
}

}  // namespace osthread::python
