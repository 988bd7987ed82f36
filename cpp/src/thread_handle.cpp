#include "thread_handle.hpp"

namespace osthread {

std::string ThreadHandle::describe() const {
  return "OSThread '" + core_->options().name + "' (" + to_string(core_->status()) + ")";
}

const char* ThreadHandle::lua_class() const noexcept { return "OSThread"; }

Value ThreadHandle::get(std::string_view name) const {
  if (name == "name") return core_->options().name;
  if (name == "status") return to_string(core_->status());
  if (name == "ident" || name == "Handle") return static_cast<std::uint64_t>(core_->ident());
  if (name == "native_id" || name == "ThreadId") return core_->native_id();
  if (name == "mailbox") return core_->mailbox();
  return {};
}

bool ThreadHandle::same(const Object& other) const noexcept {
  const auto* handle = dynamic_cast<const ThreadHandle*>(&other);
  return handle && handle->core_ == core_;
}

Value thread_value(std::shared_ptr<ThreadCore> core, std::shared_ptr<void> keep) {
  return Value::adopt(new ThreadHandle(std::move(core), std::move(keep)));
}

}  // namespace osthread
