// A Python callable as Lua calls it.
#pragma once

#include <memory>

#include "gil.hpp"
#include "osthread/error.hpp"
#include "osthread/value.hpp"
#include "python_value.hpp"

namespace osthread::python {

// What a Python callable raised, on its way through Lua; it comes out of result() as itself.
class PythonError : public HostException {
 public:
  PythonError(std::shared_ptr<Reference> exception, const std::string& text, bool is_stop)
      : HostException(text, is_stop), exception_(std::move(exception)) {}
  const Reference& exception() const noexcept { return *exception_; }
  bool has_copies() const noexcept { return exception_.use_count() != 1; }

 private:
  std::shared_ptr<Reference> exception_;
};

// The Python exception that `error` is, as one that may cross threads without the GIL. With the GIL held.
PythonError carry(py::error_already_set& error);

class PythonFunction final : public HostFunction {
 public:
  PythonFunction(py::object callable, Encoding encoding)
      : callable_(std::move(callable)), encoding_(std::move(encoding)) {}
  Values call(Values args) override;
  std::string describe() const override { return "Python callable"; }
  py::handle callable() const noexcept { return callable_.get(); }
  const Encoding& encoding() const noexcept { return encoding_; }

 private:
  const Reference callable_;
  const Encoding encoding_;
};

// A FunctionData or library function that came out of a state, as Python holds it.
struct FunctionValue {
  Value value;
};

}  // namespace osthread::python
