// Objects that Python and Lua share by handle, as Python sees them: for each one Python object, whose class
// is Python's own (osthread.Channel, ...) on top of a bound one. With the GIL held.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <utility>
#include <vector>

#include "collectable.hpp"
#include "osthread/channel.hpp"
#include "osthread/shared_buffer.hpp"
#include "python_types.hpp"
#include "python_value.hpp"

namespace osthread::python {

// What a class of Python's is made from when such an object arrives.
struct Handle {
  Value value;
};

// The base of each bound class: T is the C++ handle (Channel, ...).
template <class T>
struct Shared {
  T object;
  Encoding encoding;  // of the strings it hands out
};

// A handle that Python gives up before its object goes.
class ReleasableBuffer {
 public:
  explicit ReleasableBuffer(SharedBuffer buffer) : buffer_(std::move(buffer)) {}
  SharedBuffer& get() {
    if (!buffer_) throw py::value_error("this SharedBuffer has been released");
    return *buffer_;
  }
  Value to_value() const {
    if (!buffer_) throw py::value_error("this SharedBuffer has been released");
    return buffer_->to_value();
  }
  bool released() const noexcept { return !buffer_; }
  void release();  // BufferError while somebody has a view of it
  void count_view(int by) noexcept { views_ += by; }

 private:
  std::optional<SharedBuffer> buffer_;
  int views_ = 0;
};

inline std::uintptr_t shared_key(const Value& value) noexcept {
  return reinterpret_cast<std::uintptr_t>(value.object());
}

// For select: TypeError if one is no channel, ChannelClosed if there is none.
std::vector<Channel> channels_in(const py::tuple& objects);

// The Python object of a shared one, made if there is none.
py::object shared_to_python(const Value& value, const Encoding& encoding);
// Nil if it is none of these.
Value shared_to_value(py::handle object);

}  // namespace osthread::python
