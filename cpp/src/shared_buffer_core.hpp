// What the handles of one SharedBuffer share.
//
// Invariant: `data` stays where it is, with room for size() elements and aligned to them, until the last
// handle has gone. Whoever waits has joined `waiting_` when it looks at its element; whoever notifies has
// changed it before (wait_list.hpp).
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dtype.hpp"
#include "osthread/shared_buffer.hpp"
#include "sync_core.hpp"

namespace osthread {

struct BufferLayout {
  DType dtype = DType::float64;
  std::vector<std::size_t> shape{};
  Structure structure{};
  std::size_t itemsize() const noexcept;
};

class OSTHREAD_EXPORT SharedBufferCore final : public SyncCore {
 public:
  explicit SharedBufferCore(BufferLayout layout);
  SharedBufferCore(BufferLayout layout, void* data, std::shared_ptr<void> owner, bool readonly);

  const BufferLayout& layout() const noexcept { return layout_; }
  std::size_t size() const noexcept { return size_; }
  void* data() const noexcept { return data_; }
  bool readonly() const noexcept { return readonly_; }

  // As SharedBuffer has them.
  Value add(std::size_t index, const Value& number);
  // The same for what needs no Value: nothing is added if the sum is not one of Lua's numbers, exactly.
  std::optional<double> add_number(std::size_t index, double number) noexcept;
  bool compare_and_set(std::size_t index, const Value& old, const Value& number);
  // Throws before it waits.
  Wait wait(std::size_t index, const Value& old, Blocking::Caller caller,
            std::optional<Clock::time_point> deadline);
  void notify(std::size_t index);

  // std::out_of_range; std::invalid_argument
  void require_index(std::size_t index) const;
  void require_writable() const;
  std::string describe() const override;
  std::size_t keeps() const noexcept override { return size_ * layout_.itemsize(); }

 private:
  template <class T>
  T* at(std::size_t index) const noexcept {
    return static_cast<T*>(data_) + index;
  }

  const BufferLayout layout_;
  const std::size_t size_;
  const std::shared_ptr<void> owner_;
  void* const data_;
  const bool readonly_;
};

}  // namespace osthread
