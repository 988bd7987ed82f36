#include "numeric_buffer.hpp"

#include <bit>
#include <string>
#include <string_view>

namespace osthread::python {

// The struct module's codes: native order and sizes, or standard sizes in the machine's order.
std::optional<NumericBuffer::Kind> NumericBuffer::kind_of(const Py_buffer& view) {
  std::string_view format = view.format ? view.format : "B";
  constexpr char kOrder = std::endian::native == std::endian::little ? '<' : '>';
  if (format.starts_with('@') || format.starts_with('=') || format.starts_with(kOrder))
    format.remove_prefix(1);
  if (format.size() != 1) return std::nullopt;
  const auto by_size = [&](Kind one, Kind two, Kind four, Kind eight) -> std::optional<Kind> {
    switch (view.itemsize) {
      case 1:
        return one;
      case 2:
        return two;
      case 4:
        return four;
      case 8:
        return eight;
      default:
        return std::nullopt;
    }
  };
  switch (format.front()) {
    case '?':
      return Kind::boolean;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n':
      return by_size(Kind::int8, Kind::int16, Kind::int32, Kind::int64);
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
    case 'N':
      return by_size(Kind::uint8, Kind::uint16, Kind::uint32, Kind::uint64);
    case 'f':
      return Kind::float32;
    case 'd':
      return Kind::float64;
    default:
      return std::nullopt;
  }
}

std::optional<NumericBuffer> NumericBuffer::of(const py::object& object, const char* name, bool writable) {
  if (!PyObject_CheckBuffer(object.ptr())) return std::nullopt;
  auto view = std::make_unique<Py_buffer>();
  const int flags = PyBUF_STRIDED_RO | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(object.ptr(), view.get(), flags) != 0) {
    if (writable || !PyErr_ExceptionMatches(PyExc_BufferError)) throw py::error_already_set();
    PyErr_Clear();
    return std::nullopt;
  }
  View held(view.release());
  if (held->ndim != 1)
    throw py::type_error(std::string(name) + " must have one dimension, not " + std::to_string(held->ndim) +
                         "; pass a.ravel()");
  const std::optional<Kind> kind = kind_of(*held);
  if (!kind) return std::nullopt;
  return NumericBuffer(std::move(held), *kind);
}

}  // namespace osthread::python
