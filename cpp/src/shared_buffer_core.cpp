#include "shared_buffer_core.hpp"

#include <atomic>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <stdexcept>

namespace osthread {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and whatever vector instructions want
constexpr std::size_t kMost = PTRDIFF_MAX;

BufferLayout checked(BufferLayout layout) {
  std::size_t bytes = layout.itemsize();
  if (bytes == 0) throw std::invalid_argument("itemsize: an element has 1 byte at least, not 0");
  for (const std::size_t length : layout.shape)
    if (length != 0 && __builtin_mul_overflow(bytes, length, &bytes)) bytes = SIZE_MAX;
  if (bytes > kMost) throw std::invalid_argument("shape: no memory can hold so many elements");
  return layout;
}

std::size_t elements_of(const BufferLayout& layout) noexcept {
  std::size_t count = 1;
  for (const std::size_t length : layout.shape) count *= length;
  return count;
}

// calloc, as large memory then costs nothing until it is touched.
std::shared_ptr<void> allocate(std::size_t bytes) {
  void* const block = std::calloc(bytes + kAlignment, 1);
  if (!block) throw std::bad_alloc();
  return {block, std::free};
}

void* aligned(void* block) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  return static_cast<char*>(block) + (kAlignment - address % kAlignment) % kAlignment;
}

// The sum as the element's type has it: integers wrap around.
template <class T>
T sum(T a, T b) noexcept {
  if constexpr (std::integral<T>) {
    using Unsigned = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Unsigned>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)));
  } else {
    return a + b;
  }
}

// Whether a Lua number is an element, exactly (a float may round).
template <class T>
bool fits(double number) noexcept {
  if constexpr (std::integral<T>) {
    // Both ends are exact: powers of two, or 0.
    constexpr double kEnd = static_cast<double>(std::numeric_limits<T>::max() / 2 + 1) * 2;
    return number >= static_cast<double>(std::numeric_limits<T>::min()) && number < kEnd &&
           std::trunc(number) == number;
  } else {
    return true;
  }
}

template <class T>
bool is_lua_number(T number) noexcept {
  if constexpr (std::integral<T> && sizeof(T) == 8) {
    constexpr T kExact = T{1} << 53;
    if constexpr (std::is_signed_v<T>)
      if (number < -kExact) return false;
    return number <= kExact;
  } else {
    return true;
  }
}

// As sums wrap around, a negative one is for unsigned integers, too, if it is one of as many bits.
template <class T>
T addend(const Value& number) {
  if constexpr (std::unsigned_integral<T>) {
    const bool negative = (number.type() == Value::Type::number && number.number() < 0) ||
                          (number.type() == Value::Type::int64 && number.int64() < 0);
    if (negative) return static_cast<T>(number.as<std::make_signed_t<T>>());
  }
  return number.as<T>();
}

}  // namespace

std::size_t BufferLayout::itemsize() const noexcept {
  return dtype == DType::structure ? structure.itemsize : size_of(dtype);
}

SharedBufferCore::SharedBufferCore(BufferLayout layout)
    : SyncCore("SharedBuffer"),
      layout_(checked(std::move(layout))),
      size_(elements_of(layout_)),
      owner_(allocate(size_ * layout_.itemsize())),
      data_(aligned(owner_.get())),
      readonly_(false) {}

SharedBufferCore::SharedBufferCore(BufferLayout layout, void* data, std::shared_ptr<void> owner,
                                   bool readonly)
    : SyncCore("SharedBuffer"),
      layout_(checked(std::move(layout))),
      size_(elements_of(layout_)),
      owner_(std::move(owner)),
      data_(data),
      readonly_(readonly) {
  if (size_ != 0 && !data) throw std::invalid_argument("data: there is no memory at a null pointer");
  if (size_ != 0 && reinterpret_cast<std::uintptr_t>(data) % alignment_of(layout_.dtype) != 0)
    throw std::invalid_argument(std::string("this memory is not aligned to its elements of dtype ") +
                                name_of(layout_.dtype));
}

void SharedBufferCore::require_index(std::size_t index) const {
  if (index < size_) return;
  throw std::out_of_range("index " + std::to_string(index) + " is out of range: this buffer has " +
                          std::to_string(size_) + " elements, counted from 0");
}

void SharedBufferCore::require_writable() const {
  if (readonly_) throw std::invalid_argument("this buffer is read-only");
}

Value SharedBufferCore::add(std::size_t index, const Value& number) {
  require_index(index);
  require_writable();
  return visit_atomic(layout_.dtype, [&](auto zero) -> Value {
    using T = decltype(zero);
    const std::atomic_ref<T> element(*at<T>(index));
    const T more = addend<T>(number);
    T now = element.load();
    while (!element.compare_exchange_weak(now, sum(now, more))) {
    }
    return Value(sum(now, more));
  });
}

std::optional<double> SharedBufferCore::add_number(std::size_t index, double number) noexcept {
  switch (layout_.dtype) {
    case DType::boolean:
    case DType::float16:
    case DType::complex64:
    case DType::complex128:
    case DType::structure:
      return std::nullopt;
    default:
      break;
  }
  if (index >= size_ || readonly_) return std::nullopt;
  return visit_atomic(layout_.dtype, [&](auto zero) -> std::optional<double> {
    using T = decltype(zero);
    if (!fits<T>(number)) return std::nullopt;
    const std::atomic_ref<T> element(*at<T>(index));
    const T more = static_cast<T>(number);
    T now = element.load();
    T then;
    do {
      then = sum(now, more);
      if (!is_lua_number(then)) return std::nullopt;
    } while (!element.compare_exchange_weak(now, then));
    return static_cast<double>(then);
  });
}

bool SharedBufferCore::compare_and_set(std::size_t index, const Value& old, const Value& number) {
  require_index(index);
  require_writable();
  return visit_atomic(layout_.dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::atomic_ref<T> element(*at<T>(index));
    const T expected = old.as<T>();
    const T then = number.as<T>();
    // By value, not by bits: 0.0 is -0.0, and nan is nothing.
    T now = element.load();
    do {
      if (!(now == expected)) return false;
    } while (!element.compare_exchange_weak(now, then));
    return true;
  });
}

Wait SharedBufferCore::wait(std::size_t index, const Value& old, Blocking::Caller caller,
                            std::optional<Clock::time_point> deadline) {
  require_own_process();
  require_index(index);
  return visit_atomic(layout_.dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::atomic_ref<T> element(*at<T>(index));
    const T expected = old.as<T>();
    return wait_until([&] { return !(element.load() == expected); }, "buffer", caller, deadline);
  });
}

void SharedBufferCore::notify(std::size_t index) {
  require_own_process();
  require_index(index);
  // As whoever waits looks at its element under it: a look that is under way has seen the change, or is over
  // when they are told.
  { const std::lock_guard lock(mutex_); }
  waiting_.tell_all();
}

std::string SharedBufferCore::describe() const {
  std::string text = "SharedBuffer: " + std::string(name_of(layout_.dtype));
  for (std::size_t i = 0; i < layout_.shape.size(); ++i)
    text += (i == 0 ? " " : " x ") + std::to_string(layout_.shape[i]);
  return text + (readonly_ ? ", read-only" : "");
}

}  // namespace osthread
