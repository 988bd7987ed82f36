#include "osthread/value.hpp"

#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>

#include "memory_account.hpp"
#include "spare_blocks.hpp"

namespace osthread {
namespace {

// The bytes lie behind the object, in the same block, whose size stands before it: a string that crosses is
// one allocation, and its block goes back to whoever sends the next.
class StringData : public Counted {
 public:
  template <class T = StringData, class... Arguments>
  static T* make(std::string_view bytes, Arguments&&... arguments) {
    T* const made = new (Room{bytes.size()}) T(std::forward<Arguments>(arguments)...);
    if (!bytes.empty()) std::memcpy(static_cast<void*>(made + 1), bytes.data(), bytes.size());
    made->bytes_ = {reinterpret_cast<const char*>(made + 1), bytes.size()};
    return made;
  }
  std::string_view bytes() const noexcept { return bytes_; }

  struct Room {
    std::size_t bytes;
  };
  static void* operator new(std::size_t size, Room room) {
    const std::size_t bytes = kPrefix + size + room.bytes;
    auto* const block = static_cast<std::byte*>(spare_blocks::allocate(bytes));
    *reinterpret_cast<std::size_t*>(block) = bytes;
    return block + kPrefix;
  }
  static void operator delete(void* object) noexcept {
    std::byte* const block = static_cast<std::byte*>(object) - kPrefix;
    spare_blocks::deallocate(block, *reinterpret_cast<const std::size_t*>(block));
  }
  static void operator delete(void* object, Room) noexcept { operator delete(object); }

 private:
  static constexpr std::size_t kPrefix = alignof(std::max_align_t);

  std::string_view bytes_;
};

class ChargedString final : public StringData {
 public:
  explicit ChargedString(MemoryCharge charge) : charge_(std::move(charge)) {}

 private:
  const MemoryCharge charge_;
};

}  // namespace

namespace {

// What is deleted may be the last to hold something else, in chains of any length: a channel in a channel, a
// table in a table. So that they do not overflow the stack, only so many deletions nest; what comes deeper
// waits in a list, as a chain through `count_`, until the innermost of them is done.
constexpr int kMostNested = 32;
constinit thread_local int nested_deletions = 0;
constinit thread_local const Counted* deleted_next = nullptr;

}  // namespace

void Counted::release() const noexcept {
  // acq_rel: the last one to leave must see all that the others did to the object before it deletes it
  if (count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (nested_deletions == kMostNested) {
    count_.store(reinterpret_cast<std::uintptr_t>(deleted_next), std::memory_order_relaxed);
    deleted_next = this;
    return;
  }
  ++nested_deletions;
  delete this;
  while (nested_deletions == kMostNested && deleted_next) {
    const Counted* const next = deleted_next;
    deleted_next = reinterpret_cast<const Counted*>(
        static_cast<std::uintptr_t>(next->count_.load(std::memory_order_relaxed)));
    delete next;
  }
  --nested_deletions;
}

Counted::~Counted() = default;
Object::~Object() = default;
Value Object::get(std::string_view) const { return {}; }
const char* Object::lua_class() const noexcept { return nullptr; }
std::size_t Object::keeps() const noexcept { return 1024; }
bool Object::same(const Object& other) const noexcept { return this == &other; }
HostFunction::~HostFunction() = default;
std::string HostFunction::describe() const { return "function of the host"; }
std::size_t HostFunction::keeps() const noexcept { return 64 * 1024; }

struct Graph::Nodes {
  std::deque<TableData> tables;
  std::deque<FunctionData> functions;
  std::size_t count = 0;
  MemoryCharge charge;
};

Graph::Graph() : nodes_(new Nodes) {}
Graph::~Graph() { delete nodes_; }

TableData& Graph::add_table() { return nodes_->tables.emplace_back(this, nodes_->count++); }

FunctionData& Graph::add_function() {
  return nodes_->functions.emplace_back(FunctionData{this, nodes_->count++, {}, {}, {}});
}

void Graph::charge(MemoryCharge charge) noexcept { nodes_->charge = std::move(charge); }

Value Graph::inner(TableData& node) noexcept {
  Value value;
  value.type_ = Value::Type::table;
  value.inner_ = true;
  value.payload_.table = &node;
  return value;
}

Value Graph::inner(FunctionData& node) noexcept {
  Value value;
  value.type_ = Value::Type::function;
  value.inner_ = true;
  value.payload_.function = &node;
  return value;
}

Value Graph::outer(TableData& node) noexcept {
  Value value = inner(node);
  return Value(static_cast<const Value&>(value));  // a copy counts
}

Value Graph::outer(FunctionData& node) noexcept {
  Value value = inner(node);
  return Value(static_cast<const Value&>(value));
}

Value::Value(std::string_view bytes) : type_(Type::string) { payload_.counted = StringData::make(bytes); }
Value::Value(const std::string& bytes) : Value(std::string_view(bytes)) {}

Value Value::charged(std::string_view bytes, MemoryCharge charge) {
  Value value;
  value.payload_.counted = StringData::make<ChargedString>(bytes, std::move(charge));
  value.type_ = Type::string;
  return value;
}

Value Value::adopt(Object* object) noexcept {
  Value value;
  value.type_ = Type::object;
  value.payload_.counted = object;
  return value;
}

Value Value::library(std::string_view dotted_name) {
  Value value(dotted_name);
  value.type_ = Type::library;
  return value;
}

void Value::retain() const noexcept {
  switch (type_) {
    case Type::table:
      payload_.table->graph->retain();
      break;
    case Type::function:
      payload_.function->graph->retain();
      break;
    default:
      payload_.counted->retain();
      break;
  }
}

void Value::release() const noexcept {
  switch (type_) {
    case Type::table:
      if (!inner_) payload_.table->graph->release();
      break;
    case Type::function:
      if (!inner_) payload_.function->graph->release();
      break;
    default:
      payload_.counted->release();
      break;
  }
}

void Value::set_unsigned(std::uint64_t integer) noexcept {
  if (integer <= static_cast<std::uint64_t>(INT64_MAX)) {
    set_integer(static_cast<std::int64_t>(integer));
  } else {
    type_ = Type::uint64;
    payload_.uint64 = integer;
  }
}

std::string_view Value::bytes() const noexcept {
  return static_cast<const StringData*>(payload_.counted)->bytes();
}
const TableData& Value::table() const noexcept { return *payload_.table; }
const FunctionData& Value::function() const noexcept { return *payload_.function; }
Object* Value::object() const noexcept { return static_cast<Object*>(payload_.counted); }

const Values& Value::elements() const {
  if (type_ != Type::table) refuse("a table");
  const TableData& table = *payload_.table;
  if (table.numbers.empty()) return table.array;
  // Release and acquire: whoever finds them finds them whole.
  const Values* made = table.elements.load(std::memory_order_acquire);
  if (made) return *made;
  auto fresh = std::make_unique<Values>();
  fresh->reserve(table.length());
  fresh->assign(table.numbers.begin(), table.numbers.end());
  for (const Value& element : table.array) {
    if (!element.inner_)
      fresh->push_back(element);
    else  // a copy would keep its graph alive, which keeps these
      fresh->push_back(element.type_ == Type::table ? Graph::inner(*element.payload_.table)
                                                    : Graph::inner(*element.payload_.function));
  }
  if (!table.elements.compare_exchange_strong(made, fresh.get(), std::memory_order_acq_rel,
                                              std::memory_order_acquire))
    return *made;  // another thread has made them meanwhile
  return *fresh.release();
}

const std::vector<std::pair<Value, Value>>& Value::fields() const {
  if (type_ != Type::table) refuse("a table");
  return payload_.table->fields;
}

Value Value::get(std::string_view key) const {
  for (const auto& [name, value] : fields())
    if (name.type_ == Type::string && name.bytes() == key) return value;
  return {};
}

const char* Value::type_name() const noexcept {
  switch (type_) {
    case Type::nil:
      return "nil";
    case Type::boolean:
      return "a boolean";
    case Type::number:
      return "a number";
    case Type::int64:
    case Type::uint64:
      return "a 64-bit integer";
    case Type::string:
      return "a string";
    case Type::table:
      return "a table";
    case Type::function:
    case Type::library:
      return "a function";
    case Type::object:
      return "an object";
  }
  return "a value";
}

void Value::refuse(const char* wanted) const {
  throw ConversionError("value", std::string(type_name()) + " is not " + wanted);
}

double Value::to_number(const char* wanted) const {
  switch (type_) {
    case Type::number:
      return payload_.number;
    case Type::int64:
      return static_cast<double>(payload_.int64);
    case Type::uint64:
      return static_cast<double>(payload_.uint64);
    default:
      refuse(wanted);
  }
}

std::int64_t Value::to_int64() const {
  if (type_ == Type::int64) return payload_.int64;
  if (type_ != Type::number || std::trunc(payload_.number) != payload_.number ||
      std::fabs(payload_.number) > 0x1p62)
    refuse("an integer that fits");
  return static_cast<std::int64_t>(payload_.number);
}

std::uint64_t Value::to_uint64() const {
  if (type_ == Type::uint64) return payload_.uint64;
  const std::int64_t integer = to_int64();
  if (integer < 0) refuse("an unsigned integer");
  return static_cast<std::uint64_t>(integer);
}

namespace {

// Copies values that are nodes of other graphs into `graph`: a graph refers only to itself, so it is freed as
// one.
class GraphCopier {
 public:
  explicit GraphCopier(Graph& graph) : graph_(graph) {}

  Value operator()(const Value& value) {
    Value copy = shallow(value);
    while (!pending_.empty()) {  // not by recursion: a table may be nested 100,000 deep
      const auto [from, to] = pending_.back();
      pending_.pop_back();
      to->mark = from->mark;
      to->numbers = from->numbers;
      for (const Value& element : from->array) to->array.push_back(shallow(element));
      for (const auto& [key, field] : from->fields) to->fields.emplace_back(shallow(key), shallow(field));
    }
    return copy;
  }

 private:
  Value shallow(const Value& value) {
    if (value.type() == Value::Type::table) {
      const TableData& from = value.table();
      const auto [at, fresh] = tables_.try_emplace(&from, nullptr);
      if (fresh) {
        at->second = &graph_.add_table();
        pending_.emplace_back(&from, at->second);
      }
      return Graph::inner(*at->second);
    }
    return value;  // a function keeps its own graph alive, which never refers back to this one
  }

  Graph& graph_;
  std::unordered_map<const TableData*, TableData*> tables_;
  std::vector<std::pair<const TableData*, TableData*>> pending_;
};

struct Releaser {
  void operator()(Graph* graph) const noexcept { graph->release(); }
};

}  // namespace

Value Value::array(const Values& elements) {
  const std::unique_ptr<Graph, Releaser> graph(new Graph);
  TableData& table = graph->add_table();
  table.mark = TableMark::array;
  GraphCopier copy(*graph);
  for (const Value& element : elements) table.array.push_back(copy(element));
  return Graph::outer(table);
}

Value Value::map(const std::vector<std::pair<Value, Value>>& fields) {
  const std::unique_ptr<Graph, Releaser> graph(new Graph);
  TableData& table = graph->add_table();
  table.mark = TableMark::map;
  GraphCopier copy(*graph);
  for (const auto& [key, field] : fields) table.fields.emplace_back(copy(key), copy(field));
  return Graph::outer(table);
}

}  // namespace osthread
