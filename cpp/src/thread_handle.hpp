// An OSThread as a value: a handle that Lua and its host can hold and pass on. It owns nothing (but see
// owned_threads.hpp): the thread ends as its owner decides.
#pragma once

#include <memory>

#include "osthread/value.hpp"
#include "thread_core.hpp"

namespace osthread {

class OSTHREAD_EXPORT ThreadHandle : public Object {
 public:
  // `keep` lives as long as this handle.
  explicit ThreadHandle(std::shared_ptr<ThreadCore> core, std::shared_ptr<void> keep = nullptr)
      : core_(std::move(core)), keep_(std::move(keep)) {}
  const std::shared_ptr<ThreadCore>& core() const noexcept { return core_; }
  std::string describe() const override;
  const char* lua_class() const noexcept override;
  // name, status, ident, native_id, mailbox; and as the blog had them, Handle and ThreadId.
  Value get(std::string_view name) const override;
  bool same(const Object& other) const noexcept override;

 private:
  const std::shared_ptr<ThreadCore> core_;
  const std::shared_ptr<void> keep_;
};

Value thread_value(std::shared_ptr<ThreadCore> core, std::shared_ptr<void> keep = nullptr);

}  // namespace osthread
