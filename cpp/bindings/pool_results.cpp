#include "pool_results.hpp"

#include "host.hpp"
#include "python_errors.hpp"

namespace osthread::python {

using host::Job;

namespace {

py::object error_of(const PoolJob& job, std::size_t item, const Encoding& encoding) {
  const std::exception_ptr error = host::error(job, item);
  return error ? exception_object(error, host::error_frames(job, item), encoding) : py::none();
}

class Observer final : public host::TaskObserver {
 public:
  Observer(std::shared_ptr<Results> results, py::object future)
      : results_(std::move(results)), future_(std::make_shared<Reference>(std::move(future))) {}
  void done(const Job& job) noexcept override { results_->put(job, std::move(future_)); }
  void unawaited() noexcept override { results_->ring(); }

 private:
  const std::shared_ptr<Results> results_;
  std::shared_ptr<Reference> future_;
};

}  // namespace

py::object result_of(PoolJob& job, std::size_t item, const Encoding& encoding) {
  py::object result = unpack(host::results(job, item), encoding);
  host::forget(job, item);
  return result;
}

std::unique_ptr<host::TaskObserver> observer_of(std::shared_ptr<Results> results, py::object future) {
  return std::make_unique<Observer>(std::move(results), std::move(future));
}

void Results::put(Job job, std::shared_ptr<Reference> future) {
  const std::lock_guard lock(mutex_);
  ended_.push_back({std::move(job), std::move(future)});
}

void Results::settle() {
  for (;;) {
    Ended ended;
    {
      const std::lock_guard lock(mutex_);
      if (ended_.empty()) return;
      ended = std::move(ended_.front());
      ended_.pop_front();
    }
    tell(*ended.job, py::reinterpret_borrow<py::object>(ended.future->get()));
  }
}

void Results::ring() noexcept {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  try {
    if (!bell_)
      bell_ =
          std::make_unique<host::Bell>("LuaPool-results", [weak = weak_from_this()] { return answer(weak); });
  } catch (const std::bad_alloc&) {
    return;  // whoever waits for a result has it all the same
  }
  bell_->ring();
}

void Results::hang_up() noexcept {
  std::unique_ptr<host::Bell> bell;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  over_ = true;
  bell.swap(bell_);
}

bool Results::answer(const std::weak_ptr<Results>& weak) {
  const std::shared_ptr<Results> results = weak.lock();
  if (!results || ending()) return false;
  {
    const std::lock_guard lock(results->mutex_);
    if (results->ended_.empty()) return !results->over_;
  }
  try {
    const GilHold gil;
    results->settle();
  } catch (const InterpreterEnding&) {
    return false;
  }
  return true;
}

void Results::tell(PoolJob& job, const py::object& future) {
  try {
    if (host::status(job, 0) == TaskStatus::cancelled) {
      future.attr("_end_cancelled")();
      return;
    }
    py::object error = error_of(job, 0, encoding_);
    py::object result = py::none();
    if (error.is_none()) {
      try {
        result = result_of(job, 0, encoding_);
      } catch (const std::exception&) {  // it has no form in Python
        error = exception_object_of_current();
      }
    }
    if (error.is_none())
      future.attr("_end_with_result")(result);
    else
      future.attr("_end_with")(error);
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("the result of a LuaPool's task");
  }
}

py::object Results::exception_object_of_current() const {
  try {
    throw;
  } catch (py::error_already_set& error) {
    return error.value();
  } catch (const std::exception&) {
    return exception_object(std::current_exception(), {}, encoding_);
  }
}

}  // namespace osthread::python
