#include <cmath>
#include <string>
#include <unordered_map>
#include <vector>

#include "host.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_shared.hpp"
#include "python_thread.hpp"
#include "python_types.hpp"
#include "python_value.hpp"

namespace osthread::python {
namespace {

// A new reference: an int if it is whole and exact, and no -0.0. (Not by std::trunc(), which is a call.)
PyObject* new_number(double number) {
  if (std::fabs(number) <= 0x1p53) {
    const auto integer = static_cast<long long>(number);
    if (static_cast<double>(integer) == number && !(integer == 0 && std::signbit(number)))
      return PyLong_FromLongLong(integer);
  }
  return PyFloat_FromDouble(number);
}

// What holds no other value, and is no object: most results are, which then need no Unbuilder. Null: it is
// something else.
py::object plain(const Value& value, const Encoding& encoding) {
  switch (value.type()) {
    case Value::Type::nil:
      return py::none();
    case Value::Type::boolean:
      return py::bool_(value.boolean());
    case Value::Type::number:
      return py::reinterpret_steal<py::object>(new_number(value.number()));
    case Value::Type::int64:
      return py::reinterpret_steal<py::object>(PyLong_FromLongLong(value.int64()));
    case Value::Type::uint64:
      return py::reinterpret_steal<py::object>(PyLong_FromUnsignedLongLong(value.uint64()));
    case Value::Type::string:
      return text_to_python(value.bytes(), encoding);
    default:
      return {};
  }
}

// Makes the Python objects of a graph, breadth first, so that depth costs no stack.
class Unbuilder {
 public:
  explicit Unbuilder(const Encoding& encoding) : encoding_(encoding) {}

  // What several roots share stays shared.
  py::object root(const Value& value, std::string place) {
    place_ = std::move(place);
    py::object object = convert(value, kRoot, nullptr, 0);
    for (; filled_ < nodes_.size(); ++filled_) {
      const std::size_t at = filled_;
      const py::object target = nodes_[at].object;
      if (PyList_Check(target.ptr()))
        fill_list(at);
      else
        fill_dict(at);
    }
    return object;
  }

 private:
  static constexpr std::size_t kRoot = static_cast<std::size_t>(-1);
  struct Node {
    const TableData* table;
    py::object object;
    std::size_t parent;
    const Value* key;  // in the parent; null: the element `index`
    std::size_t index;
  };

  static bool is_list(const TableData& table) {
    if (table.mark == TableMark::map || !table.fields.empty()) return false;
    return table.length() != 0 || table.mark == TableMark::array;
  }

  std::string path(std::size_t at) const {
    std::vector<std::string> steps;
    for (; at != kRoot && nodes_[at].parent != kRoot; at = nodes_[at].parent)
      steps.push_back(nodes_[at].key ? place_step(*nodes_[at].key)
                                     : "[" + std::to_string(nodes_[at].index) + "]");
    std::string text = place_;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) text += *step;
    return text;
  }

  py::object convert(const Value& value, std::size_t parent, const Value* key, std::size_t index) {
    if (py::object object = plain(value, encoding_)) return object;
    switch (value.type()) {
      case Value::Type::table:
        return table(value.table(), parent, key, index);
      case Value::Type::object:
        return object(value, parent);
      default:  // a function, of Lua code or of a library
        return call(types().function, py::make_tuple(FunctionValue{value}));
    }
  }

  py::object object(const Value& value, std::size_t parent) {
    if (const auto* function = dynamic_cast<const PythonFunction*>(value.object()))
      return py::reinterpret_borrow<py::object>(function->callable());
    if (host::thread_of(value)) return call(types().thread, py::make_tuple(ThreadValue{value}));
    if (const std::exception_ptr exception = host::exception_of(value))
      return exception_object(exception, {}, encoding_);
    if (value.object()->lua_class()) return shared_to_python(value, encoding_);
    throw ConversionError(path(parent), value.object()->describe() + " has no form in Python");
  }

  py::object table(const TableData& table, std::size_t parent, const Value* key, std::size_t index) {
    const auto [made, fresh] = made_.try_emplace(&table, nodes_.size());
    if (fresh) {
      py::object target = is_list(table) ? py::object(py::list(table.length())) : py::object(py::dict());
      nodes_.push_back({&table, std::move(target), parent, key, index});
    }
    return nodes_[made->second].object;
  }

  void fill_list(std::size_t at) {
    const TableData& table = *nodes_[at].table;
    const py::object list = nodes_[at].object;
    Py_ssize_t place = 0;
    for (const double number : table.numbers) {
      PyObject* const object = new_number(number);
      if (!object) throw py::error_already_set();
      PyList_SET_ITEM(list.ptr(), place++, object);
    }
    for (const Value& element : table.array) {
      PyObject* const object =
          convert(element, at, nullptr, static_cast<std::size_t>(place) + 1).release().ptr();
      if (!object) throw py::error_already_set();
      PyList_SET_ITEM(list.ptr(), place++, object);
    }
  }

  void fill_dict(std::size_t at) {
    const TableData& table = *nodes_[at].table;
    const py::object dict = nodes_[at].object;
    std::size_t i = 0;
    for (const double number : table.numbers) {
      ++i;
      set(at, dict, py::int_(i), convert(Value(number), at, nullptr, i));
    }
    for (const Value& element : table.array) {
      ++i;
      set(at, dict, py::int_(i), convert(element, at, nullptr, i));
    }
    for (const auto& [key, field] : table.fields)
      set(at, dict, convert(key, at, &key, 0), convert(field, at, &key, 0));
  }

  void set(std::size_t at, py::handle dict, const py::object& key, const py::object& value) const {
    const int has = PyDict_Contains(dict.ptr(), key.ptr());
    if (has < 0) throw py::error_already_set();
    if (has)
      throw ConversionError(path(at), "two keys become one in Python: " + py::repr(key).cast<std::string>());
    if (PyDict_SetItem(dict.ptr(), key.ptr(), value.ptr()) != 0) throw py::error_already_set();
  }

  const Encoding& encoding_;
  std::string place_;  // of the root that is being made
  std::size_t filled_ = 0;
  std::unordered_map<const TableData*, std::size_t> made_;
  std::vector<Node> nodes_;
};

}  // namespace

py::object to_python(const Value& value, const Encoding& encoding) {
  if (py::object object = plain(value, encoding)) return object;
  return Unbuilder(encoding).root(value, "value");
}

py::tuple to_tuple(const Values& values, const Encoding& encoding, const char* place) {
  py::tuple tuple(values.size());
  Unbuilder unbuilder(encoding);
  for (std::size_t i = 0; i < values.size(); ++i)
    tuple[i] = unbuilder.root(values[i], place + ("[" + std::to_string(i + 1) + "]"));
  return tuple;
}

py::str readable(std::string_view bytes) {
  PyObject* text =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "backslashreplace");
  if (!text) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

py::object text_to_python(std::string_view bytes, const Encoding& encoding) {
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  if (encoding) {
    PyObject* text = *encoding == "utf-8"
                         ? PyUnicode_DecodeUTF8(bytes.data(), size, nullptr)
                         : call_api([&] {  // the codec may be the program's own
                             return PyUnicode_Decode(bytes.data(), size, encoding->c_str(), nullptr);
                           });
    if (text) return py::reinterpret_steal<py::object>(text);
    if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) throw py::error_already_set();
    PyErr_Clear();
  }
  return py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(bytes.data(), size));
}

py::object unpack(const Values& values, const Encoding& encoding) {
  if (values.empty()) return py::none();
  if (values.size() > 1) return to_tuple(values, encoding);
  if (py::object object = plain(values[0], encoding)) return object;
  return Unbuilder(encoding).root(values[0], "results[1]");
}

}  // namespace osthread::python
