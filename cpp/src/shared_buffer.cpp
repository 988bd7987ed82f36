#include "osthread/shared_buffer.hpp"

#include <stdexcept>
#include <utility>

#include "deadline.hpp"
#include "shared_buffer_core.hpp"
#include "shared_handle_parts.hpp"

namespace osthread {

template class SharedHandle<SharedBufferCore>;

SharedBuffer::SharedBuffer(DType dtype, const std::vector<std::size_t>& shape)
    : SharedHandle(Adopted{}, new SharedBufferCore({.dtype = dtype, .shape = shape})) {}

SharedBuffer::SharedBuffer(void* data, DType dtype, const std::vector<std::size_t>& shape,
                           std::shared_ptr<void> owner, bool readonly)
    : SharedHandle(Adopted{},
                   new SharedBufferCore({.dtype = dtype, .shape = shape}, data, std::move(owner), readonly)) {
}

SharedBuffer::SharedBuffer(void* data, Structure structure, const std::vector<std::size_t>& shape,
                           std::shared_ptr<void> owner, bool readonly)
    : SharedHandle(
          Adopted{},
          new SharedBufferCore({.dtype = DType::structure, .shape = shape, .structure = std::move(structure)},
                               data, std::move(owner), readonly)) {}

DType SharedBuffer::dtype() const noexcept { return core().layout().dtype; }
const Structure& SharedBuffer::structure() const noexcept { return core().layout().structure; }
const std::vector<std::size_t>& SharedBuffer::shape() const noexcept { return core().layout().shape; }
std::size_t SharedBuffer::size() const noexcept { return core().size(); }
std::size_t SharedBuffer::itemsize() const noexcept { return core().layout().itemsize(); }
bool SharedBuffer::readonly() const noexcept { return core().readonly(); }
void* SharedBuffer::data() const noexcept { return core().data(); }

void SharedBuffer::require(bool same_type, bool writes) const {
  if (!same_type)
    throw std::invalid_argument(std::string("elements: this buffer's dtype is ") + name_of(dtype()));
  if (writes) core().require_writable();
}

Value SharedBuffer::add(std::size_t index, const Value& number) { return core().add(index, number); }

bool SharedBuffer::compare_and_set(std::size_t index, const Value& old, const Value& number) {
  return core().compare_and_set(index, old, number);
}

void SharedBuffer::wait(std::size_t index, const Value& old) {
  persist([&] { return core().wait(index, old, Blocking::Caller::host, std::nullopt); });
}

bool SharedBuffer::wait_for(std::size_t index, const Value& old, std::chrono::nanoseconds timeout) {
  const Clock::time_point deadline = deadline_after(timeout);
  return persist([&] { return core().wait(index, old, Blocking::Caller::host, deadline); }) == Wait::over;
}

void SharedBuffer::notify(std::size_t index) { core().notify(index); }

SharedBuffer SharedBuffer::from_value(const Value& value) {
  return SharedBuffer(Adopted{}, core_of(value, "SharedBuffer"));
}

}  // namespace osthread
