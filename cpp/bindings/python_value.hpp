// Python objects to Values and back. With the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "gil.hpp"
#include "osthread/options.hpp"
#include "osthread/value.hpp"

namespace osthread::python {

// How strings come from Lua: none: bytes.
using Encoding = std::optional<std::string>;

// A tuple of arguments (or results of a callable), their places named `place[1]`, ...; shared objects stay
// shared. `encoding`: what the callables among them get their strings in. Throws ConversionError,
// py::error_already_set.
Values to_values(const py::tuple& objects, const char* place, const Encoding& encoding);
Values to_values(std::span<PyObject* const> objects, const char* place, const Encoding& encoding);
// The same, which takes no memory if they are few, and none is a container.
class Arguments {
 public:
  Arguments(std::span<PyObject* const> objects, const char* place, const Encoding& encoding);
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  std::span<const Value> values() const noexcept { return values_; }

 private:
  std::array<Value, 4> few_;
  Values many_;
  std::span<const Value> values_;
};
Value to_value(py::handle object, const std::string& place, const Encoding& encoding);

py::object to_python(const Value& value, const Encoding& encoding);
py::tuple to_tuple(const Values& values, const Encoding& encoding, const char* place = "results");
// Text for people: what is no UTF-8 stands as \\xNN.
py::str readable(std::string_view bytes);
py::object text_to_python(std::string_view bytes, const Encoding& encoding);

// Results: None for none, the value, or a tuple of several.
py::object unpack(const Values& values, const Encoding& encoding);

// Where print goes: the callable gets a str.
OutputFunction output_to(std::shared_ptr<Reference> callable);

}  // namespace osthread::python
