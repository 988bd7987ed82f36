#include "python_value.hpp"

#include <cmath>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "host.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_shared.hpp"
#include "python_thread.hpp"
#include "python_types.hpp"

namespace osthread::python {
namespace {

constexpr long long kExact = 1LL << 53;  // every integer up to here is a Lua number

struct ReleaseGraph {
  void operator()(Graph* graph) const noexcept { graph->release(); }
};

std::string type_name(py::handle object) { return Py_TYPE(object.ptr())->tp_name; }

// What most arguments are, without a Builder: whether it is that, and is right.
bool take_plain(PyObject* o, Value& value) {
  if (PyFloat_CheckExact(o)) {
    value = PyFloat_AS_DOUBLE(o);
    return true;
  }
  if (PyLong_CheckExact(o)) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow != 0) return false;
    value = number;
    return true;
  }
  if (PyUnicode_CheckExact(o)) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(o, &size);
    if (bytes)
      value = std::string_view(bytes, static_cast<std::size_t>(size));
    else
      PyErr_Clear();  // the Builder says what is wrong, and where
    return bytes != nullptr;
  }
  if (PyBool_Check(o)) {
    value = o == Py_True;
    return true;
  }
  return o == Py_None;
}

// Builds the graph of some Python objects breadth first, so that depth costs no stack.
class Builder {
 public:
  explicit Builder(const Encoding& encoding) : encoding_(encoding) {}

  Value root(py::handle object, const std::string& place) {
    places_.push_back({kRoot, place});
    Value value = convert(object, places_.size() - 1);
    while (!pending_.empty()) {
      const Pending next = std::move(pending_.front());
      pending_.pop_front();
      if (PyDict_Check(next.object.ptr()))
        fill_dict(next);
      else
        fill_sequence(next);
    }
    return Value(static_cast<const Value&>(value));  // a copy keeps the graph alive
  }

 private:
  static constexpr std::size_t kRoot = static_cast<std::size_t>(-1);
  struct Place {
    std::size_t parent;
    std::string step;
  };
  struct Pending {
    py::object object;
    TableData* table;
    std::size_t place;
  };

  std::string path(std::size_t at) const {
    std::vector<const std::string*> steps;
    for (; at != kRoot; at = places_[at].parent) steps.push_back(&places_[at].step);
    std::string text;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) text += **step;
    return text;
  }
  [[noreturn]] void refuse(std::size_t at, const std::string& reason) const {
    throw ConversionError(path(at), reason);
  }

  Value convert(py::handle object, std::size_t at) {
    PyObject* const o = object.ptr();
    if (o == Py_None) return {};
    if (PyBool_Check(o)) return Value(o == Py_True);
    if (PyFloat_Check(o)) return Value(PyFloat_AS_DOUBLE(o));
    if (PyLong_Check(o)) return integer(object, at);
    if (PyUnicode_Check(o)) return Value(utf8(object, at));
    if (PyBytes_Check(o))
      return Value(std::string_view(PyBytes_AS_STRING(o), static_cast<std::size_t>(PyBytes_GET_SIZE(o))));
    if (PyByteArray_Check(o))
      return Value(
          std::string_view(PyByteArray_AS_STRING(o), static_cast<std::size_t>(PyByteArray_GET_SIZE(o))));
    if (PyList_Check(o) || PyTuple_Check(o) || PyDict_Check(o)) return table(object, at);
    if (is_of(object, types().function)) return object.attr("_value").cast<const FunctionValue&>().value;
    if (const Thread* thread = thread_in(object))
      return thread->adopted.is_nil() ? host::thread_value(thread->core) : thread->adopted;
    if (Value shared = shared_to_value(object); !shared.is_nil()) return shared;
    if (is_numpy(object)) return numpy(object, at);
    if (PyIndex_Check(o)) {
      const Reference index = called([o] { return PyNumber_Index(o); });
      return integer(index.get(), at);
    }
    if (PyCallable_Check(o)) {
      Value& function = callables_[o];  // one Lua function, however often it is met
      if (function.is_nil())
        function = Value::adopt(new PythonFunction(py::reinterpret_borrow<py::object>(object), encoding_));
      return function;
    }
    refuse(at, "this " + type_name(object) + " can't cross to Lua" + remedy(object));
  }

  std::string_view utf8(py::handle text, std::size_t at) const {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (!bytes) {
      PyErr_Clear();
      refuse(at, "this str holds lone surrogates, which UTF-8 can't; pass bytes instead");
    }
    return {bytes, static_cast<std::size_t>(size)};
  }

  static std::string remedy(py::handle object) {
    if (PyObject_CheckBuffer(object.ptr())) return "; pass bytes(...) of it";
    if (Py_TYPE(object.ptr())->tp_iter) return "; pass a list or dict of it";
    return "; pass numbers, strings, lists, dicts or a callable";
  }

  Value integer(py::handle object, std::size_t at) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (overflow == 0) {
      if (number == -1 && PyErr_Occurred()) throw py::error_already_set();
      return Value(number);
    }
    if (overflow > 0) {
      const unsigned long long large = PyLong_AsUnsignedLongLong(object.ptr());
      if (!PyErr_Occurred()) return Value(large);
      PyErr_Clear();
    }
    throw ConversionError(
        path(at), "this int is beyond 64 bits, which no Lua number holds; pass a str or float of it", true);
  }

  static bool derives_from(py::handle object, std::string_view name) {
    for (PyTypeObject* type = Py_TYPE(object.ptr()); type; type = type->tp_base)
      if (type->tp_name == name) return true;
    return false;
  }

  static bool is_numpy(py::handle object) {
    return derives_from(object, "numpy.ndarray") || derives_from(object, "numpy.generic");
  }

  Value numpy(py::handle object, std::size_t at) {
    if (derives_from(object, "numpy.ndarray"))
      refuse(at,
             "an ndarray can't cross to Lua by itself; pass SharedBuffer(a), which shares its memory, or "
             "a.tolist(), "
             "which copies");
    const Reference item = called([&] { return PyObject_CallMethod(object.ptr(), "item", nullptr); });
    const py::handle scalar = item.get();
    if (is_numpy(scalar)) refuse(at, "this " + type_name(object) + " has no Lua form; pass float(x)");
    return convert(scalar, at);
  }

  Value table(py::handle object, std::size_t at) {
    const auto [seen, fresh] = seen_.try_emplace(object.ptr());
    if (fresh) {
      if (!graph_) graph_.reset(new Graph);
      seen->second = {py::reinterpret_borrow<py::object>(object), &graph_->add_table()};
      pending_.push_back({seen->second.object, seen->second.table, at});
    }
    return Graph::inner(*seen->second.table);
  }

  std::size_t step(std::size_t parent, std::string text) {
    places_.push_back({parent, std::move(text)});
    return places_.size() - 1;
  }

  // Those that the sequence begins with. How many.
  static Py_ssize_t take_numbers(PyObject* sequence, std::vector<double>& numbers) {
    constexpr Py_ssize_t kFew = 64;
    PyObject* const* const items = PySequence_Fast_ITEMS(sequence);
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence);
    Py_ssize_t i = 0;
    for (; i < size; ++i) {
      if (i == kFew) numbers.reserve(static_cast<std::size_t>(size));  // most likely all are
      PyObject* const item = items[i];
      if (PyFloat_CheckExact(item)) {
        numbers.push_back(PyFloat_AS_DOUBLE(item));
        continue;
      }
      if (!PyLong_CheckExact(item)) break;
      int overflow = 0;
      const long long number = PyLong_AsLongLongAndOverflow(item, &overflow);
      if (overflow != 0 || number > kExact || number < -kExact) break;
      numbers.push_back(static_cast<double>(number));
    }
    if (i < size / 2) numbers.shrink_to_fit();
    return i;
  }

  void fill_sequence(const Pending& pending) {
    TableData& table = *pending.table;
    table.mark = TableMark::array;
    PyObject* const sequence = pending.object.ptr();
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence);
    const Py_ssize_t numbers = take_numbers(sequence, table.numbers);
    table.array.reserve(static_cast<std::size_t>(size - numbers));
    const std::size_t here = places_.size();
    for (Py_ssize_t i = numbers; i < PySequence_Fast_GET_SIZE(sequence); ++i) {
      // What is plain needs no place, and runs no code that could change the sequence.
      PyObject* const* const items = PySequence_Fast_ITEMS(sequence);
      const Py_ssize_t end = PySequence_Fast_GET_SIZE(sequence);
      for (; i < end; ++i) {
        Value element;
        if (!take_plain(items[i], element)) break;
        table.array.push_back(std::move(element));
      }
      if (i == end) break;
      const py::handle element = items[i];
      const std::size_t at = step(pending.place, "[" + std::to_string(i + 1) + "]");
      const std::size_t queued = pending_.size();
      table.array.push_back(convert(element, at));
      if (pending_.size() == queued && at == places_.size() - 1 && at >= here) places_.pop_back();
    }
  }

  void fill_dict(const Pending& pending) {
    TableData& table = *pending.table;
    table.mark = TableMark::map;
    std::unordered_set<std::string> names;
    bool exact = true;  // then the dict itself has seen to it that no two are the same
    const auto dict = py::reinterpret_borrow<py::dict>(pending.object);
    for (const auto& [key, element] : dict) {
      exact = exact && PyUnicode_CheckExact(key.ptr());
    }
    for (const auto& [key, element] : dict) {
      Value name = convert_key(key, pending.place);
      if (!exact && name.type() == Value::Type::string && !names.emplace(name.bytes()).second)
        refuse(pending.place, "two keys become one in Lua: '" + std::string(name.bytes()) + "'");
      const std::string place = place_step(name);
      Value field = convert(element, step(pending.place, place));
      table.fields.emplace_back(std::move(name), std::move(field));
    }
    gather(table);
  }

  Value convert_key(py::handle key, std::size_t place) {
    PyObject* const k = key.ptr();
    if (PyUnicode_Check(k)) return Value(utf8(key, place));
    if (PyBytes_Check(k))
      return Value(std::string_view(PyBytes_AS_STRING(k), static_cast<std::size_t>(PyBytes_GET_SIZE(k))));
    if (PyBool_Check(k)) return Value(k == Py_True);
    if (PyFloat_Check(k)) {
      if (std::isnan(PyFloat_AS_DOUBLE(k))) refuse(place, "nan can't be a key");
      return Value(PyFloat_AS_DOUBLE(k));
    }
    if (PyLong_Check(k)) {
      int overflow = 0;
      const long long number = PyLong_AsLongLongAndOverflow(k, &overflow);
      if (overflow != 0 || number > kExact || number < -kExact) {
        const Reference text = called([k] { return PyObject_Repr(k); });
        refuse(place, "the key " + text.get().cast<std::string>() +
                          " is beyond 2^53, where Lua numbers run together");
      }
      return Value(number);
    }
    refuse(place, "this " + type_name(key) + " can't be a key in Lua; str, bytes, bool, float and int can");
  }

  // A dict whose keys are exactly 1..n is laid out as an array, and marked.
  static void gather(TableData& table) {
    const std::size_t count = table.fields.size();
    Values array(count);
    std::vector<bool> have(count);
    for (const auto& [key, field] : table.fields) {
      if (key.type() != Value::Type::number) return;
      const double number = key.number();
      if (!(number >= 1 && number <= static_cast<double>(count)) || std::trunc(number) != number) return;
      have[static_cast<std::size_t>(number) - 1] = true;
    }
    for (const bool one : have)
      if (!one) return;
    for (auto& [key, field] : table.fields)
      array[static_cast<std::size_t>(key.number()) - 1] = std::move(field);
    table.array = std::move(array);
    table.fields.clear();
  }

  const Encoding& encoding_;
  std::unique_ptr<Graph, ReleaseGraph> graph_;
  struct Seen {
    py::object object;  // alive, so that no other gets its address
    TableData* table;
  };
  std::unordered_map<PyObject*, Seen> seen_;
  std::unordered_map<PyObject*, Value> callables_;
  std::deque<Pending> pending_;
  std::vector<Place> places_;
};

}  // namespace

Values to_values(const py::tuple& objects, const char* place, const Encoding& encoding) {
  return to_values({PySequence_Fast_ITEMS(objects.ptr()), objects.size()}, place, encoding);
}

Values to_values(std::span<PyObject* const> objects, const char* place, const Encoding& encoding) {
  Values values(objects.size());
  std::size_t plain = 0;
  while (plain < objects.size() && take_plain(objects[plain], values[plain])) ++plain;
  if (plain == objects.size()) return values;
  values.clear();
  bool nested = false;
  for (PyObject* const object : objects)
    nested = nested || PyList_Check(object) || PyTuple_Check(object) || PyDict_Check(object) ||
             PyCallable_Check(object);
  if (!nested) {
    std::size_t i = 0;
    for (PyObject* const object : objects) {
      Builder builder(encoding);
      values.push_back(builder.root(object, std::string(place) + "[" + std::to_string(++i) + "]"));
    }
    return values;
  }
  Builder builder(encoding);  // one for all, so that what they share stays shared
  std::size_t i = 0;
  for (PyObject* const object : objects)
    values.push_back(builder.root(object, std::string(place) + "[" + std::to_string(++i) + "]"));
  return values;
}

Value to_value(py::handle object, const std::string& place, const Encoding& encoding) {
  Value value;
  if (take_plain(object.ptr(), value)) return value;
  return Builder(encoding).root(object, place);
}

Arguments::Arguments(std::span<PyObject* const> objects, const char* place, const Encoding& encoding) {
  std::size_t plain = 0;
  if (objects.size() <= few_.size())
    while (plain < objects.size() && take_plain(objects[plain], few_[plain])) ++plain;
  if (plain == objects.size()) {
    values_ = std::span(few_).first(plain);
  } else {
    many_ = to_values(objects, place, encoding);
    values_ = many_;
  }
}

}  // namespace osthread::python
