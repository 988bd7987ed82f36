// A counted handle of an object that crosses between languages: what Lock, SharedTable and the like have in
// common.
//
// Thread safety: copies may be used and dropped on any thread; one and the same handle is not assigned to by
// two at once.
#pragma once

#include "osthread/export.hpp"
#include "osthread/value.hpp"

namespace osthread {

// T is an Object.
template <class T>
class OSTHREAD_EXPORT SharedHandle {
 public:
  ~SharedHandle();
  SharedHandle(const SharedHandle& other) noexcept;
  SharedHandle& operator=(const SharedHandle& other) noexcept;
  bool operator==(const SharedHandle& other) const noexcept { return core_ == other.core_; }
  Value to_value() const;
  T& core() const noexcept { return *core_; }

 protected:
  struct Adopted {};
  SharedHandle(Adopted, T* core) noexcept : core_(core) {}
  static T* core_of(const Value& value, const char* name);  // with a count; ConversionError

 private:
  T* core_;
};

}  // namespace osthread
