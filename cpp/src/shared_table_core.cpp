#include "shared_table_core.hpp"

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>

#include "fork.hpp"

namespace osthread {
namespace {

bool is_plain(const Value& value) noexcept {
  return value.type() != Value::Type::table && value.type() != Value::Type::function &&
         value.type() != Value::Type::object;
}

bool same_plain(const Value& a, const Value& b) noexcept {
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Value::Type::nil:
      return true;
    case Value::Type::boolean:
      return a.boolean() == b.boolean();
    case Value::Type::number:
      return a.number() == b.number();
    case Value::Type::int64:
      return a.int64() == b.int64();
    case Value::Type::uint64:
      return a.uint64() == b.uint64();
    default:
      return a.bytes() == b.bytes();
  }
}

struct ReleaseGraph {
  void operator()(Graph* graph) const noexcept { graph->release(); }
};

// Makes SharedTables of tables: each once, so that what is shared inside stays shared.
class Sharer {
 public:
  explicit Sharer(SharedTableCore::Payer payer) : payer_(payer) {}

  Value share(const Value& value) {
    if (value.type() != Value::Type::table) return value;
    const Value root = made(value.table());
    while (!pending_.empty()) {
      const auto [table, core] = pending_.back();
      pending_.pop_back();
      core->update(items(*table), payer_);
    }
    return root;
  }

  std::vector<SharedTableCore::Item> items(const TableData& table) {
    std::vector<SharedTableCore::Item> items;
    items.reserve(table.length() + table.fields.size());
    double i = 0;
    for (const double number : table.numbers) items.emplace_back(Value(++i), Value(number));
    for (const Value& element : table.array) items.emplace_back(Value(++i), inside(element));
    for (const auto& [key, field] : table.fields) {
      SharedTableCore::require_key(key);
      items.emplace_back(key, inside(field));
    }
    return items;
  }

  // What items() has met.
  void finish() {
    while (!pending_.empty()) {
      const auto [table, core] = pending_.back();
      pending_.pop_back();
      core->update(items(*table), payer_);
    }
  }

 private:
  Value inside(const Value& value) {
    return value.type() == Value::Type::table ? made(value.table()) : value;
  }

  Value made(const TableData& table) {
    Value& handle = made_[&table];
    if (handle.is_nil()) {
      auto* core = new SharedTableCore(table.mark);
      handle = Value::adopt(core);
      pending_.emplace_back(&table, core);
    }
    return handle;
  }

  const SharedTableCore::Payer payer_;
  std::unordered_map<const TableData*, Value> made_;
  std::vector<std::pair<const TableData*, SharedTableCore*>> pending_;
};

// About what an entry costs: its node, and its place in the index.
constexpr std::size_t kEntryCost = 160;

MemoryCharge charge_entry(SharedTableCore::Payer payer) {
  return payer ? payer->charge(kEntryCost) : MemoryCharge();
}

}  // namespace

KeyView::KeyView(const Value& key) noexcept : type(key.type()) {
  if (type == Value::Type::number) number = key.number();
  if (type == Value::Type::boolean) number = key.boolean();
  if (type == Value::Type::string) bytes = key.bytes();
}

std::size_t SharedTableCore::Hash::operator()(const KeyView& key) const noexcept {
  if (key.type == Value::Type::string) return std::hash<std::string_view>()(key.bytes);
  return std::hash<double>()(key.number) + static_cast<std::size_t>(key.type);
}

SharedTableCore::SharedTableCore(TableMark mark) : mark_(mark), generation_(fork_generation()) {}

void SharedTableCore::require_key(const Value& key) {
  switch (key.type()) {
    case Value::Type::string:
    case Value::Type::boolean:
      return;
    case Value::Type::number:
      if (key.number() == key.number()) return;
      throw ConversionError("key", "nan can't be a key");
    default:
      throw ConversionError(
          "key", std::string(key.type_name()) + " can't be a key; strings, numbers and booleans can");
  }
}

Value SharedTableCore::shared(const Value& value, Payer payer) { return Sharer(payer).share(value); }

std::vector<SharedTableCore::Item> SharedTableCore::items_of(const Value& table, Payer payer) {
  if (table.type() == Value::Type::object)
    if (const auto* core = dynamic_cast<const SharedTableCore*>(table.object())) return core->items();
  if (table.type() != Value::Type::table)
    throw ConversionError("table", std::string("a table was wanted, not ") + table.type_name());
  Sharer sharer(payer);
  std::vector<Item> items = sharer.items(table.table());
  sharer.finish();
  return items;
}

std::optional<Value> SharedTableCore::get(KeyView key) const {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  return found->second->second;
}

void SharedTableCore::put(const Value& key, Value& value, Payer payer) {
  const auto found = index_.find(KeyView(key));
  if (found != index_.end()) {
    std::swap(found->second->second, value);
    return;
  }
  entries_.push_back({{key, Value()}, charge_entry(payer)});
  const auto last = std::prev(entries_.end());
  try {
    index_.emplace(KeyView(last->first), last);
  } catch (const std::bad_alloc&) {
    entries_.pop_back();
    throw;
  }
  std::swap(last->second, value);
}

std::optional<Value> SharedTableCore::set(const Value& key, Value value, Payer payer) {
  const std::lock_guard lock(mutex_);
  put(key, value, payer);
  return value;
}

bool SharedTableCore::replace_number(KeyView key, double number) noexcept {
  Value value(number);  // dropped after the lock
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return false;
  std::swap(found->second->second, value);
  return true;
}

Value SharedTableCore::get_or_set(const Value& key, Value value) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(KeyView(key));
  if (found != index_.end()) return found->second->second;
  const Value kept = value;
  put(key, value, nullptr);
  return kept;
}

std::optional<Value> SharedTableCore::take(KeyView key) {
  Entries taken;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  const auto entry = found->second;
  index_.erase(found);
  taken.splice(taken.begin(), entries_, entry);
  return std::move(taken.front().second);
}

double SharedTableCore::add(const Value& key, double by, Payer payer) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(KeyView(key));
  double sum = by;
  if (found != index_.end()) {
    const Value& now = found->second->second;
    if (now.type() != Value::Type::number)
      throw ConversionError(place_step(key), std::string("add: a number was wanted, not ") + now.type_name());
    sum += now.number();
    found->second->second = Value(sum);
    return sum;
  }
  Value value(sum);
  put(key, value, payer);
  return sum;
}

bool SharedTableCore::compare_and_set(const Value& key, const Value& old, const Value& value, Payer payer) {
  for (const Value* given : {&old, &value})
    if (!is_plain(*given))
      throw ConversionError(given == &old ? "old" : "value",
                            std::string("compare_and_set takes plain values, not ") + given->type_name());
  Entries taken;
  Value replaced = value;
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(KeyView(key));
  const bool is_there = found != index_.end() && !found->second->second.is_nil();
  if (is_there ? !same_plain(found->second->second, old) : !old.is_nil()) return false;
  if (!value.is_nil()) {
    put(key, replaced, payer);
  } else if (found != index_.end()) {
    const auto entry = found->second;
    index_.erase(found);
    taken.splice(taken.begin(), entries_, entry);
  }
  return true;
}

void SharedTableCore::update(std::vector<Item> items, Payer payer) {
  const std::lock_guard lock(mutex_);
  // All or nothing: what may fail, for want of memory, comes first.
  Entries fresh;
  std::vector<std::pair<Entries::iterator, Value*>> replaced;
  replaced.reserve(items.size());
  index_.reserve(index_.size() + items.size());
  std::unordered_map<KeyView, Entries::iterator, Hash> added;
  for (auto& [key, value] : items) {
    const auto found = index_.find(KeyView(key));
    if (found != index_.end()) {
      replaced.emplace_back(found->second, &value);
      continue;
    }
    const auto again = added.find(KeyView(key));
    if (again != added.end()) {
      replaced.emplace_back(again->second, &value);
      continue;
    }
    fresh.push_back({{key, value}, charge_entry(payer)});
    added.emplace(KeyView(fresh.back().first), std::prev(fresh.end()));
  }
  index_.merge(added);
  entries_.splice(entries_.end(), fresh);
  for (const auto& [entry, value] : replaced) std::swap(entry->second, *value);
}

void SharedTableCore::clear() {
  Entries dropped;
  const std::lock_guard lock(mutex_);
  index_.clear();
  dropped.swap(entries_);
}

std::size_t SharedTableCore::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::vector<SharedTableCore::Item> SharedTableCore::items() const {
  const std::lock_guard lock(mutex_);
  return {entries_.begin(), entries_.end()};
}

bool SharedTableCore::is_list() const noexcept {
  if (mark_ == TableMark::map) return false;
  if (entries_.empty()) return mark_ == TableMark::array;
  for (std::size_t i = 1; i <= entries_.size(); ++i)
    if (!index_.contains(KeyView(Value(i)))) return false;
  return true;
}

Value SharedTableCore::snapshot() const {
  const std::unique_ptr<Graph, ReleaseGraph> graph(new Graph);
  std::unordered_map<const SharedTableCore*, TableData*> made;
  std::vector<Value> alive;  // those still to be filled
  const auto table_of = [&](const SharedTableCore* core) {
    TableData*& table = made[core];
    if (!table) {
      table = &graph->add_table();
      core->retain();
      alive.push_back(Value::adopt(const_cast<SharedTableCore*>(core)));
    }
    return Graph::inner(*table);
  };
  const auto inside = [&](const Value& value) {
    const auto* core =
        value.type() == Value::Type::object ? dynamic_cast<const SharedTableCore*>(value.object()) : nullptr;
    return core ? table_of(core) : value;
  };
  const Value root = table_of(this);
  for (std::size_t i = 0; i < alive.size(); ++i) {
    const auto* core = static_cast<const SharedTableCore*>(alive[i].object());
    TableData& table = *made[core];
    std::vector<Item> items;
    bool is_list = false;
    {
      const std::lock_guard lock(core->mutex_);
      items.assign(core->entries_.begin(), core->entries_.end());
      is_list = core->is_list();
    }
    table.mark = is_list ? TableMark::array : TableMark::map;
    if (is_list) table.array.resize(items.size());
    for (auto& [key, value] : items) {
      if (is_list)
        table.array[static_cast<std::size_t>(key.number()) - 1] = inside(value);
      else
        table.fields.emplace_back(key, inside(value));
    }
  }
  return Value(static_cast<const Value&>(root));  // a copy keeps the graph alive
}

bool SharedTableCore::is_of_this_process() const noexcept { return generation_ == fork_generation(); }

void SharedTableCore::require_own_process() const {
  if (!is_of_this_process())
    throw std::logic_error("this SharedTable was made before the fork, and belongs to the parent process");
}

std::string SharedTableCore::describe() const {
  char text[64];
  std::snprintf(text, sizeof text, "SharedTable: %p", static_cast<const void*>(this));
  return text;
}

}  // namespace osthread
