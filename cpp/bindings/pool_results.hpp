// What the tasks of a pool have come to, on its way to their futures. With the GIL held, but for what workers
// do.
#pragma once

#include <pybind11/pybind11.h>

#include <deque>
#include <memory>
#include <mutex>

#include "gil.hpp"
#include "host_pool.hpp"
#include "python_value.hpp"

namespace osthread::python {

py::object result_of(PoolJob& job, std::size_t item, const Encoding& encoding);  // takes it

// The ended tasks of a pool whose futures have not been told. Workers put them here, and never wait for the
// GIL: whoever waits for one of them tells its future, else a thread of its own does.
//
// Invariant: a future is told by the one that takes its task out of here, once. A task that is here keeps
// this alive, by its observer.
class Results : public std::enable_shared_from_this<Results> {
 public:
  explicit Results(Encoding encoding) : encoding_(std::move(encoding)) {}

  void put(host::Job job, std::shared_ptr<Reference> future);  // on a worker
  // Tells the futures of all that are here. Telling may let the GIL go: one at a time, as a callback of one
  // may wait for the next.
  void settle();
  void ring() noexcept;     // has it done by the thread; on any thread
  void hang_up() noexcept;  // nothing is to come any more

  const Encoding& encoding() const noexcept { return encoding_; }

 private:
  struct Ended {
    host::Job job;
    std::shared_ptr<Reference> future;
  };

  static bool answer(const std::weak_ptr<Results>& weak);
  void tell(PoolJob& job, const py::object& future);
  py::object exception_object_of_current() const;

  const Encoding encoding_;
  std::mutex mutex_;
  std::deque<Ended> ended_;
  std::unique_ptr<host::Bell> bell_;
  bool over_ = false;
};

// Between a task and its future, which it keeps until the task has ended.
std::unique_ptr<host::TaskObserver> observer_of(std::shared_ptr<Results> results, py::object future);

}  // namespace osthread::python
