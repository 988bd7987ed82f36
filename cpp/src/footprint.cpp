#include "footprint.hpp"

#include <new>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "osthread/error.hpp"

namespace osthread {
namespace {

// What a string, or a table or function, costs beside what is in it.
constexpr std::size_t kCost = 64;

class Count {
 public:
  std::size_t of(const Values& values) {
    add(values);
    while (!pending_.empty()) {
      const Value& value = *pending_.back();
      pending_.pop_back();
      visit(value);
    }
    return bytes_;
  }

 private:
  void add(const Values& values) {
    bytes_ += values.capacity() * sizeof(Value);
    for (const Value& value : values) pending_.push_back(&value);
  }

  void visit(const Value& value) {
    switch (value.type()) {
      case Value::Type::string:
        bytes_ += kCost + value.bytes().size();
        break;
      case Value::Type::table:
        if (!seen_.insert(&value.table()).second) break;
        add(value.table().array);
        bytes_ += kCost + value.table().numbers.capacity() * sizeof(double) +
                  value.table().fields.capacity() * sizeof(std::pair<Value, Value>);
        for (const auto& [key, field] : value.table().fields) {
          pending_.push_back(&key);
          pending_.push_back(&field);
        }
        break;
      case Value::Type::function:
        if (!seen_.insert(&value.function()).second) break;
        add(value.function().upvalues);
        bytes_ += kCost + value.function().bytecode.capacity();
        break;
      default:
        break;
    }
  }

  std::size_t bytes_ = 0;
  std::vector<const Value*> pending_;
  std::unordered_set<const void*> seen_;
};

}  // namespace

std::size_t footprint(const Values& values) noexcept {
  try {
    return Count().of(values);
  } catch (const std::bad_alloc&) {
    return 0;  // then memory itself is the limit
  }
}

std::size_t footprint(const std::exception_ptr& error) noexcept {
  if (!error) return 0;
  try {
    std::rethrow_exception(error);
  } catch (const LuaError& raised) {
    return 2 * raised.message().size() + (raised.value() ? footprint(Values{*raised.value()}) : 0);
  } catch (const std::exception& other) {
    return std::char_traits<char>::length(other.what());
  } catch (...) {
    return 0;
  }
}

}  // namespace osthread
