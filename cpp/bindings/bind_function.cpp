#include <unordered_map>

#include "bindings.hpp"
#include "host.hpp"
#include "osthread/lua_state.hpp"
#include "python_function.hpp"

namespace osthread::python {
namespace {

// A chunk or a function expression, as a function that can be handed to any state.
FunctionValue compile(const py::bytes& source, const std::string& chunk_name) {
  const Code code(std::string(source), chunk_name);
  const GilRelease release;
  return {compile_function(code)};
}

// A function for pickling: all nodes of its graph by number, each as a tuple of plain Python objects, so that
// pickle meets no cycle. Values inside are pairs of a tag and what it says.
class Pickler {
 public:
  py::tuple operator()(const Value& root) {
    const py::tuple first = encode(root);
    py::list nodes;
    for (std::size_t i = 0; i < pending_.size(); ++i) nodes.append(encode_node(pending_[i]));
    return py::make_tuple(features().luajit, first, nodes);
  }

 private:
  py::tuple encode(const Value& value) {
    switch (value.type()) {
      case Value::Type::table:
        return py::make_tuple("node", number(&value.table(), value));
      case Value::Type::function:
        return py::make_tuple("node", number(&value.function(), value));
      case Value::Type::library:
        return py::make_tuple("library", py::bytes(std::string(value.bytes())));
      case Value::Type::object:
        if (const auto* function = dynamic_cast<const PythonFunction*>(value.object()))
          return py::make_tuple(
              "callable", py::reinterpret_borrow<py::object>(function->callable()),
              function->encoding() ? py::object(py::str(*function->encoding())) : py::object(py::none()));
        return py::make_tuple("value", to_python(value, Encoding()));
      case Value::Type::number:
        return py::make_tuple("value", py::float_(value.number()));
      default:
        return py::make_tuple("value", to_python(value, Encoding()));
    }
  }

  std::size_t number(const void* node, const Value& value) {
    const auto [at, fresh] = numbers_.try_emplace(node, pending_.size());
    if (fresh) pending_.push_back(value);
    return at->second;
  }

  py::tuple encode_all(const Values& values) {
    py::tuple encoded(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) encoded[i] = encode(values[i]);
    return encoded;
  }

  py::tuple encode_node(const Value value) {
    if (value.type() == Value::Type::function) {
      const FunctionData& data = value.function();
      return py::make_tuple(py::bytes(data.bytecode), py::bytes(data.name), encode_all(data.upvalues),
                            py::bool_(data.safe));
    }
    const TableData& table = value.table();
    py::tuple fields(table.fields.size());
    for (std::size_t i = 0; i < table.fields.size(); ++i)
      fields[i] = py::make_tuple(encode(table.fields[i].first), encode(table.fields[i].second));
    return py::make_tuple(static_cast<int>(table.mark), encode_all(value.elements()), fields);
  }

  std::unordered_map<const void*, std::size_t> numbers_;
  Values pending_;
};

class Unpickler {
 public:
  Value operator()(const py::tuple& state) {
    const auto made_by = state[0].cast<std::string>();
    if (made_by != features().luajit)
      throw py::value_error("this LuaFunction was pickled under " + made_by + ", whose bytecode " +
                            features().luajit + " does not run; compile it again from its source");
    const auto nodes = py::reinterpret_borrow<py::list>(state[2]);
    graph_ = new Graph;
    for (const py::handle node : nodes) {
      const bool is_function = py::isinstance<py::bytes>(py::reinterpret_borrow<py::tuple>(node)[0]);
      inner_.push_back(is_function ? Node{nullptr, &graph_->add_function()}
                                   : Node{&graph_->add_table(), nullptr});
    }
    for (std::size_t i = 0; i < inner_.size(); ++i)
      fill(inner_[i], py::reinterpret_borrow<py::tuple>(nodes[i]));
    Value root = decode(state[1]);
    Value outer(static_cast<const Value&>(root));  // a copy keeps the graph alive
    root = Value();
    graph_->release();
    return outer;
  }

 private:
  struct Node {
    TableData* table;
    FunctionData* function;
  };

  Value decode(py::handle encoded) {
    const auto pair = py::reinterpret_borrow<py::tuple>(encoded);
    const auto tag = pair[0].cast<std::string>();
    if (tag == "node") {
      const Node& node = inner_.at(pair[1].cast<std::size_t>());
      return node.table ? Graph::inner(*node.table) : Graph::inner(*node.function);
    }
    if (tag == "library") return Value::library(pair[1].cast<std::string>());
    if (tag == "callable") {
      const py::object encoding = pair[2];
      return Value::adopt(new PythonFunction(
          pair[1], encoding.is_none() ? Encoding() : Encoding(encoding.cast<std::string>())));
    }
    return to_value(pair[1], "upvalue", Encoding());
  }

  void decode_all(Values& values, py::handle encoded) {
    for (const py::handle one : py::reinterpret_borrow<py::tuple>(encoded)) values.push_back(decode(one));
  }

  void fill(const Node& node, const py::tuple& encoded) {
    if (node.function) {
      node.function->bytecode = encoded[0].cast<std::string>();
      node.function->name = encoded[1].cast<std::string>();
      decode_all(node.function->upvalues, encoded[2]);
      node.function->safe = encoded[3].cast<bool>();
      return;
    }
    node.table->mark = static_cast<TableMark>(encoded[0].cast<int>());
    decode_all(node.table->array, encoded[1]);
    for (const py::handle field : py::reinterpret_borrow<py::tuple>(encoded[2])) {
      const auto pair = py::reinterpret_borrow<py::tuple>(field);
      node.table->fields.emplace_back(decode(pair[0]), decode(pair[1]));
    }
  }

  Graph* graph_ = nullptr;
  std::vector<Node> inner_;
};

py::tuple get_state(const FunctionValue& function) { return Pickler()(function.value); }
FunctionValue set_state(const py::tuple& state) { return {Unpickler()(state)}; }

std::string name_of(const FunctionValue& function) {
  return function.value.type() == Value::Type::library ? std::string(function.value.bytes())
                                                       : function.value.function().name;
}

}  // namespace

void bind_function(py::module_& module) {
  py::class_<FunctionValue>(module, "FunctionValue", "A Lua function outside of any state.")
      .def_property_readonly("name",
                             [](const FunctionValue& function) { return readable(name_of(function)); })
      .def_property_readonly("safe",
                             [](const FunctionValue& function) {
                               return function.value.type() == Value::Type::function &&
                                      function.value.function().safe;
                             })
      .def(py::pickle(&get_state, &set_state));
  module.def("memory_limit_here", &host::memory_limit_here,
             "Of the state whose Lua code called the calling Python code; 0: none.");
  module.def("compile", &compile, py::arg("source"), py::arg("chunk_name"));
}

}  // namespace osthread::python
