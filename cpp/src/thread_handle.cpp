#include "thread_handle.hpp"

namespace osthread {
namespace {

// A method: Lua calls it as t:name(), so its first argument is the handle.
template <class F>
Value method(F call) {
  return function([call](const Values& args) -> Values {
    auto* handle = args.empty() || args[0].type() != Value::Type::object
                       ? nullptr
                       : dynamic_cast<ThreadHandle*>(args[0].object());
    if (!handle) throw ConversionError("self", "a method of an OSThread is called with a colon: t:method()");
    return {Value(call(*handle->core()))};
  });
}

}  // namespace

std::string ThreadHandle::describe() const {
  return "OSThread '" + core_->options().name + "' (" + to_string(core_->status()) + ")";
}

Value ThreadHandle::get(std::string_view name) const {
  if (name == "name") return core_->options().name;
  if (name == "status") return to_string(core_->status());
  if (name == "ident") return static_cast<std::uint64_t>(core_->ident());
  if (name == "native_id") return core_->native_id();
  if (name == "request_stop") return method([](ThreadCore& core) { return core.request_stop(); });
  if (name == "interrupt") return method([](ThreadCore& core) { return core.interrupt(); });
  if (name == "is_alive")
    return method([](ThreadCore& core) { return !core.ended() && core.status() != Status::suspended; });
  return {};
}

bool ThreadHandle::same(const Object& other) const noexcept {
  const auto* handle = dynamic_cast<const ThreadHandle*>(&other);
  return handle && handle->core_ == core_;
}

Value thread_value(std::shared_ptr<ThreadCore> core) {
  return Value::adopt(new ThreadHandle(std::move(core)));
}

}  // namespace osthread
