#include "osthread/shared_table.hpp"

#include <stdexcept>

#include "shared_handle_parts.hpp"
#include "shared_table_core.hpp"

namespace osthread {

template class SharedHandle<SharedTableCore>;

namespace {

SharedTableCore& own(const SharedTable& table) {
  table.core().require_own_process();
  return table.core();
}

// Of an operation on one entry.
SharedTableCore& own(const SharedTable& table, const Value& key) {
  SharedTableCore::require_key(key);
  return own(table);
}

}  // namespace

SharedTable::SharedTable() : SharedHandle(Adopted{}, new SharedTableCore) {}

SharedTable::SharedTable(const Value& table)
    : SharedHandle(Adopted{}, new SharedTableCore(table.type() == Value::Type::table ? table.table().mark
                                                                                     : TableMark::none)) {
  core().update(SharedTableCore::items_of(table));
}

std::optional<Value> SharedTable::get(const Value& key) const { return own(*this, key).get(KeyView(key)); }

void SharedTable::set(const Value& key, const Value& value) {
  (void)own(*this, key).set(key, SharedTableCore::shared(value));
}

bool SharedTable::erase(const Value& key) { return take(key).has_value(); }
std::optional<Value> SharedTable::take(const Value& key) { return own(*this, key).take(KeyView(key)); }

Value SharedTable::get_or_set(const Value& key, const Value& value) {
  return own(*this, key).get_or_set(key, SharedTableCore::shared(value));
}

double SharedTable::add(const Value& key, double by) { return own(*this, key).add(key, by); }

bool SharedTable::compare_and_set(const Value& key, const Value& old, const Value& value) {
  return own(*this, key).compare_and_set(key, old, value);
}

void SharedTable::update(const Value& table) { own(*this).update(SharedTableCore::items_of(table)); }
void SharedTable::clear() { own(*this).clear(); }
std::size_t SharedTable::size() const { return own(*this).size(); }
std::vector<std::pair<Value, Value>> SharedTable::items() const { return own(*this).items(); }
Value SharedTable::snapshot() const { return own(*this).snapshot(); }

SharedTable SharedTable::from_value(const Value& value) {
  return SharedTable(Adopted{}, core_of(value, "SharedTable"));
}

}  // namespace osthread
