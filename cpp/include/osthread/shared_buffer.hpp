// A SharedBuffer is memory that threads of every language see without a copy: an array of elements of one
// type, C-contiguous, that never moves.
//
//   osthread::SharedBuffer squares(osthread::DType::float64, {1000});
//   osthread::OSThread worker("local b = ... for i = 0, #b - 1 do b[i] = i * i end", {squares});
//   worker.join();
//   double last = squares.elements<double>()[999];
//
// In Lua `b[i]` counts from 0, over all dimensions, and is bounds-checked; `b.data` is a typed FFI pointer. A
// structure is a reference into the memory, which stays as long as the state has any.
//
// Thread safety: everything may be called from any thread at once. Elements are plain memory: threads that
// change the same ones take turns, or use add(), compare_and_set(), wait() and notify(). It is a handle:
// copies are the same memory, which stays until the last has gone, in whichever language. After a fork the
// child sees its own copy of the elements; wait() and notify() of one made before it throw std::logic_error.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/shared_handle.hpp"
#include "osthread/value.hpp"

namespace osthread {

// What an element is, with NumPy's names. `structure`: as a declaration of C's says.
enum class DType : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64,
  complex64,
  complex128,
  structure
};

// NumPy's name: "float64"; "structure".
OSTHREAD_EXPORT const char* name_of(DType dtype) noexcept;
// By that name; std::invalid_argument that lists those there are. A structure has none.
OSTHREAD_EXPORT DType dtype_named(std::string_view name);

// What elements that are structures look like.
struct Structure {
  // As LuaJIT's ffi.typeof() takes it: "struct { double x; int32_t n; }". Of a readonly buffer the fields
  // that are arrays or structures have to say that they are const.
  std::string declaration;
  std::size_t itemsize;  // bytes
  std::string format{};  // the same for who lends the memory, as Python's buffer protocol has it
};

class OSTHREAD_EXPORT SharedBufferCore;

class OSTHREAD_EXPORT SharedBuffer : public SharedHandle<SharedBufferCore> {
 public:
  // Memory of its own, all zero, aligned to 64 bytes. std::invalid_argument for a structure or a shape that
  // no memory could hold; std::bad_alloc.
  SharedBuffer(DType dtype, const std::vector<std::size_t>& shape);
  // Somebody else's memory, C-contiguous and aligned to its elements, which stays as long as `owner` does.
  SharedBuffer(void* data, DType dtype, const std::vector<std::size_t>& shape, std::shared_ptr<void> owner,
               bool readonly = false);
  SharedBuffer(void* data, Structure structure, const std::vector<std::size_t>& shape,
               std::shared_ptr<void> owner, bool readonly = false);

  DType dtype() const noexcept;
  const Structure& structure() const noexcept;  // empty if it is none
  const std::vector<std::size_t>& shape() const noexcept;
  std::size_t size() const noexcept;      // elements, of all dimensions
  std::size_t itemsize() const noexcept;  // bytes
  bool readonly() const noexcept;
  void* data() const noexcept;  // not to be written to if it is readonly
  // The elements as what they are; std::invalid_argument if that is not T, or if T is not const and it is
  // readonly.
  template <class T>
  std::span<T> elements() const;

  // Of one element, counted from 0 over all dimensions: an integer, float32 or float64 (else
  // std::invalid_argument, as for a readonly buffer). std::out_of_range; ConversionError for a number that
  // does not fit. Integers wrap around, so that unsigned ones may be given a negative number
  // to add. Each is atomic, and sequentially consistent.
  Value add(std::size_t index, const Value& number);  // the sum
  bool compare_and_set(std::size_t index, const Value& old, const Value& number);
  // Waits until the element is not `old`, which it looks for when somebody calls notify(). Ends with a stop
  // of the Lua code that calls it (Stopped).
  void wait(std::size_t index, const Value& old);
  [[nodiscard]] bool wait_for(std::size_t index, const Value& old, std::chrono::nanoseconds timeout);
  // To be called after the element has been changed.
  void notify(std::size_t index);

  static SharedBuffer from_value(const Value& value);

 private:
  using SharedHandle::SharedHandle;
  void require(bool same_type, bool writes) const;
};

// The DType of a C++ type.
template <class T>
consteval DType dtype_of() {
  if constexpr (std::same_as<T, bool>) {
    return DType::boolean;
  } else if constexpr (std::integral<T>) {
    constexpr DType kSigned[] = {DType::int8, DType::int16, DType::int32, DType::int64};
    constexpr DType kUnsigned[] = {DType::uint8, DType::uint16, DType::uint32, DType::uint64};
    constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return std::signed_integral<T> ? kSigned[kLog] : kUnsigned[kLog];
  } else {
    static_assert(std::same_as<T, float> || std::same_as<T, double>,
                  "an element: bool, an integer, float or double");
    return std::same_as<T, float> ? DType::float32 : DType::float64;
  }
}

template <class T>
std::span<T> SharedBuffer::elements() const {
  require(dtype() == dtype_of<std::remove_const_t<T>>(), !std::is_const_v<T>);
  return {static_cast<T*>(data()), size()};
}

}  // namespace osthread
