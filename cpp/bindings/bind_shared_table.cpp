#include <pybind11/stl.h>

#include "bindings.hpp"
#include "osthread/shared_table.hpp"
#include "python_shared.hpp"

namespace osthread::python {
namespace {

using PyTable = Shared<SharedTable>;

Value key_of(const PyTable& table, const py::object& key) {
  Value value = to_value(key, "key", table.encoding);
  if (value.type() == Value::Type::int64 || value.type() == Value::Type::uint64)
    throw ConversionError("key", "this int is beyond 2^53, where Lua numbers run together");
  return value;
}

[[noreturn]] void raise_key_error(const py::object& key) {
  PyErr_SetObject(PyExc_KeyError, key.ptr());
  throw py::error_already_set();
}

py::object get(Self<PyTable> table, const py::object& key, const py::object& otherwise) {
  const std::optional<Value> value = table->object.get(key_of(*table, key));
  return value ? to_python(*value, table->encoding) : otherwise;
}

py::object item(Self<PyTable> table, const py::object& key) {
  const std::optional<Value> value = table->object.get(key_of(*table, key));
  if (!value) raise_key_error(key);
  return to_python(*value, table->encoding);
}

void set(Self<PyTable> table, const py::object& key, const py::object& object) {
  const Value name = key_of(*table, key);
  table->object.set(name, to_value(object, "value", table->encoding));
}

void erase(Self<PyTable> table, const py::object& key) {
  if (!table->object.erase(key_of(*table, key))) raise_key_error(key);
}

// None if there is no such entry; else a tuple of it.
py::object take(Self<PyTable> table, const py::object& key) {
  const std::optional<Value> value = table->object.take(key_of(*table, key));
  if (!value) return py::none();
  return py::make_tuple(to_python(*value, table->encoding));
}

py::object get_or_set(Self<PyTable> table, const py::object& key, const py::object& object) {
  const Value name = key_of(*table, key);
  return to_python(table->object.get_or_set(name, to_value(object, "default", table->encoding)),
                   table->encoding);
}

py::object add(Self<PyTable> table, const py::object& key, const py::object& by) {
  const Value name = key_of(*table, key);
  return to_python(table->object.add(name, to_value(by, "n", table->encoding).as<double>()), table->encoding);
}

bool compare_and_set(Self<PyTable> table, const py::object& key, const py::object& old,
                     const py::object& value) {
  const Value name = key_of(*table, key);
  return table->object.compare_and_set(name, to_value(old, "old", table->encoding),
                                       to_value(value, "new", table->encoding));
}

void update(Self<PyTable> table, const py::object& mapping) {
  table->object.update(to_value(mapping, "mapping", table->encoding));
}

py::list items(Self<PyTable> table) {
  py::list list;
  for (const auto& [key, value] : table->object.items())
    list.append(py::make_tuple(to_python(key, table->encoding), to_python(value, table->encoding)));
  return list;
}

py::list keys(Self<PyTable> table) {
  py::list list;
  for (const auto& [key, _] : table->object.items()) list.append(to_python(key, table->encoding));
  return list;
}

}  // namespace

void bind_shared_table(py::module_& module) {
  py::class_<PyTable>(module, "SharedTable",
                      "A table that threads share; osthread.SharedTable is its public face.")
      .def(py::init([](Encoding encoding) {
             return std::make_unique<PyTable>(PyTable{SharedTable(), std::move(encoding)});
           }),
           py::arg("encoding"))
      .def(py::init([](const Handle& handle, Encoding encoding) {
             return std::make_unique<PyTable>(
                 PyTable{SharedTable::from_value(handle.value), std::move(encoding)});
           }),
           py::arg("handle"), py::arg("encoding"))
      .def_property_readonly("_key", [](Self<PyTable> t) { return shared_key(t->object.to_value()); })
      .def("_get", &get, py::arg("key"), py::arg("default"))
      .def("_item", &item, py::arg("key"))
      .def("_set", &set, py::arg("key"), py::arg("value"))
      .def("_erase", &erase, py::arg("key"))
      .def("_take", &take, py::arg("key"))
      .def("_get_or_set", &get_or_set, py::arg("key"), py::arg("default"))
      .def("_add", &add, py::arg("key"), py::arg("n"))
      .def("_compare_and_set", &compare_and_set, py::arg("key"), py::arg("old"), py::arg("new"))
      .def("_update", &update, py::arg("mapping"))
      .def("_clear", [](Self<PyTable> t) { t->object.clear(); })
      .def("_size", [](Self<PyTable> t) { return t->object.size(); })
      .def(
          "_contains",
          [](Self<PyTable> t, const py::object& key) { return t->object.get(key_of(*t, key)).has_value(); },
          py::arg("key"))
      .def("_keys", &keys)
      .def("_items", &items)
      .def("_snapshot", [](Self<PyTable> t) { return to_python(t->object.snapshot(), t->encoding); });
}

}  // namespace osthread::python
