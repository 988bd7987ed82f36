// What the handles of one SharedTable share.
//
// Invariant: `entries_` holds each key once, in the order they came, and `index_` knows the place of each.
// Values are dropped after the lock: what goes with them may be anything.
//
// Thread safety: everything may be called from any thread. One lock, held for single lookups and changes of
// this table alone, so that two tables can't wait for each other.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "memory_quota.hpp"
#include "osthread/shared_table.hpp"

namespace osthread {

// A key as it is looked up, without a Value for it.
struct KeyView {
  Value::Type type;
  double number = 0;  // or a boolean's 0 or 1
  std::string_view bytes{};

  explicit KeyView(const Value& key) noexcept;
  explicit KeyView(std::string_view name) noexcept : type(Value::Type::string), bytes(name) {}
  bool operator==(const KeyView&) const = default;
};

class OSTHREAD_EXPORT SharedTableCore final : public Object {
 public:
  using Item = std::pair<Value, Value>;

  explicit SharedTableCore(TableMark mark = TableMark::none);

  // Throws ConversionError if it can't be a key.
  static void require_key(const Value& key);
  // Whose memory_limit new entries count towards; null: nobody's.
  using Payer = MemoryQuota*;

  // As it is kept: a table as a SharedTable.
  static Value shared(const Value& value, Payer payer = nullptr);
  // `key` must be one, `value` be shared().
  std::optional<Value> get(KeyView key) const;
  std::optional<Value> set(const Value& key, Value value, Payer payer = nullptr);  // what was there
  // Only if the entry is there already; whether it is.
  bool replace_number(KeyView key, double number) noexcept;
  Value get_or_set(const Value& key, Value value);
  std::optional<Value> take(KeyView key);
  double add(const Value& key, double by, Payer payer = nullptr);
  bool compare_and_set(const Value& key, const Value& old, const Value& value, Payer payer = nullptr);
  void update(std::vector<Item> items, Payer payer = nullptr);
  void clear();

  std::size_t size() const noexcept;
  std::vector<Item> items() const;
  Value snapshot() const;
  // The items of a table, as they are kept.
  static std::vector<Item> items_of(const Value& table, Payer payer = nullptr);

  bool is_of_this_process() const noexcept;
  void require_own_process() const;  // std::logic_error
  std::string describe() const override;
  const char* lua_class() const noexcept override { return "SharedTable"; }

 private:
  struct Entry : Item {
    MemoryCharge charge;
  };
  using Entries = std::list<Entry>;
  struct Hash {
    std::size_t operator()(const KeyView& key) const noexcept;
  };

  void put(const Value& key, Value& value, Payer payer);  // under the lock; `value` is then what was there
  bool is_list() const noexcept;                          // under the lock

  mutable std::mutex mutex_;
  Entries entries_;
  // The views are into the entries' own keys.
  std::unordered_map<KeyView, Entries::iterator, Hash> index_;
  TableMark mark_;                  // of what it was made from
  const std::uint32_t generation_;  // of the fork that made it
};

}  // namespace osthread
