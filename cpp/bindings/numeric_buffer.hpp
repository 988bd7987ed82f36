// A one-dimensional array of numbers that Python lends, by the buffer protocol. Made and dropped with the GIL
// held; its numbers may be touched without.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace osthread::python {

namespace py = pybind11;

class NumericBuffer {
 public:
  enum class Kind { boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64 };
  // By its format, one of the struct module's; nothing if it is another one.
  static std::optional<Kind> kind_of(const Py_buffer& view);
  // Nothing if `object` lends none, or of something else than native booleans, integers and floats. TypeError
  // for more than one dimension. `name` is the argument's.
  static std::optional<NumericBuffer> of(const py::object& object, const char* name, bool writable = false);

  std::size_t size() const noexcept { return static_cast<std::size_t>(view_->shape[0]); }

  // `T` must be what visit() says.
  template <class T>
  T at(std::size_t i) const noexcept {
    T number;
    std::memcpy(&number, address(i), sizeof number);  // it need not be aligned
    return number;
  }
  template <class T>
  void set(std::size_t i, T number) const noexcept {
    std::memcpy(address(i), &number, sizeof number);
  }

  template <class T>
  bool is() const noexcept {
    return visit([](auto zero) { return std::is_same_v<decltype(zero), T>; });
  }

  // Calls `use` with a zero of the elements' type.
  template <class F>
  auto visit(F use) const {
    switch (kind_) {
      case Kind::boolean:
        return use(false);
      case Kind::int8:
        return use(std::int8_t{});
      case Kind::int16:
        return use(std::int16_t{});
      case Kind::int32:
        return use(std::int32_t{});
      case Kind::int64:
        return use(std::int64_t{});
      case Kind::uint8:
        return use(std::uint8_t{});
      case Kind::uint16:
        return use(std::uint16_t{});
      case Kind::uint32:
        return use(std::uint32_t{});
      case Kind::uint64:
        return use(std::uint64_t{});
      case Kind::float32:
        return use(float{});
      case Kind::float64:
        break;
    }
    return use(double{});
  }

 private:
  struct Release {
    void operator()(Py_buffer* view) const noexcept {
      PyBuffer_Release(view);
      delete view;
    }
  };
  using View = std::unique_ptr<Py_buffer, Release>;

  NumericBuffer(View view, Kind kind) : view_(std::move(view)), kind_(kind) {}
  char* address(std::size_t i) const noexcept {
    return static_cast<char*>(view_->buf) + view_->strides[0] * static_cast<Py_ssize_t>(i);
  }

  View view_;
  Kind kind_;
};

}  // namespace osthread::python
