// An OSThread as a value: a handle that Lua and its host can hold and pass on. It owns nothing: the thread
// ends as its owner decides.
#pragma once

#include <memory>

#include "osthread/value.hpp"
#include "thread_core.hpp"

namespace osthread {

class OSTHREAD_EXPORT ThreadHandle final : public Object {
 public:
  explicit ThreadHandle(std::shared_ptr<ThreadCore> core) : core_(std::move(core)) {}
  const std::shared_ptr<ThreadCore>& core() const noexcept { return core_; }
  std::string describe() const override;
  // name, status, ident, native_id; request_stop, interrupt, is_alive as functions of the handle.
  Value get(std::string_view name) const override;
  bool same(const Object& other) const noexcept override;

 private:
  const std::shared_ptr<ThreadCore> core_;
};

Value thread_value(std::shared_ptr<ThreadCore> core);

}  // namespace osthread
