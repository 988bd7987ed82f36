// The members of SharedHandle, for the files that make instances of it.
#pragma once

#include <string>

#include "osthread/error.hpp"
#include "osthread/shared_handle.hpp"

namespace osthread {

template <class T>
SharedHandle<T>::~SharedHandle() {
  core_->Counted::release();
}

template <class T>
SharedHandle<T>::SharedHandle(const SharedHandle& other) noexcept : core_(other.core_) {
  core_->Counted::retain();
}

template <class T>
SharedHandle<T>& SharedHandle<T>::operator=(const SharedHandle& other) noexcept {
  other.core_->Counted::retain();  // first: it may be the same
  core_->Counted::release();
  core_ = other.core_;
  return *this;
}

template <class T>
Value SharedHandle<T>::to_value() const {
  core_->Counted::retain();
  return Value::adopt(core_);
}

template <class T>
T* SharedHandle<T>::core_of(const Value& value, const char* name) {
  T* core = value.type() == Value::Type::object ? dynamic_cast<T*>(value.object()) : nullptr;
  if (!core) throw ConversionError("", std::string(value.type_name()) + " is no " + name);
  core->Counted::retain();
  return core;
}

}  // namespace osthread
