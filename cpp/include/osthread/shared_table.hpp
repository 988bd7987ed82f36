// A SharedTable is a table that threads of any language read and change at once, each operation whole.
//
//   osthread::SharedTable totals;
//   osthread::OSThread worker("local totals = ... totals:add('seen', 1)", {totals});
//   totals.add("seen", 1);
//
// Keys are strings, numbers (but nan) and booleans. A table that is put in becomes a SharedTable of its own,
// once, with what it holds; whatever else crosses between states is kept as it crosses. Entries keep the
// order in which they came.
//
// Thread safety: everything may be called from any thread at once. It is a handle: copies are the same table.
// A table that is reached from itself stays until that is broken, as references are counted. After a fork,
// what was made before it throws std::logic_error.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "osthread/export.hpp"
#include "osthread/shared_handle.hpp"
#include "osthread/value.hpp"

namespace osthread {

class OSTHREAD_EXPORT SharedTableCore;

class OSTHREAD_EXPORT SharedTable : public SharedHandle<SharedTableCore> {
 public:
  SharedTable();
  // With the fields and elements of a table. ConversionError if it is none.
  explicit SharedTable(const Value& table);

  std::optional<Value> get(const Value& key) const;  // nothing: there is no such entry
  void set(const Value& key, const Value& value);    // nil is a value like others
  bool erase(const Value& key);                      // whether there was one
  std::optional<Value> take(const Value& key);       // erases it
  // What the entry is afterwards; set to `value` if there was none.
  Value get_or_set(const Value& key, const Value& value);
  // Adds to a number (0, if there is no entry): the sum. ConversionError if it is something else.
  double add(const Value& key, double by);
  // If the entry is `old`, makes it `value`, and says so. Plain values; nil stands for no entry.
  bool compare_and_set(const Value& key, const Value& old, const Value& value);
  void update(const Value& table);  // all of its fields and elements at once
  void clear();

  std::size_t size() const;
  std::vector<std::pair<Value, Value>> items() const;  // as they were at one moment
  // A table of it: nested ones too, each as it was at one moment.
  Value snapshot() const;

  static SharedTable from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
};

}  // namespace osthread
