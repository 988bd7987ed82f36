// What the tasks of a pool have come to, on its way to their futures. With the GIL held, but for what workers
// do.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gil.hpp"
#include "host_pool.hpp"
#include "python_value.hpp"

namespace osthread::python {

py::object result_of(PoolJob& job, std::size_t item, const Encoding& encoding);  // takes it

// Between a task and its future.
//
// Invariant: as long as nobody has met the future's condition, nobody waits at it or has left a callback, and
// the state of the future is but three attributes.
struct Pledge {
  explicit Pledge(py::object f) : future(std::make_unique<Reference>(std::move(f))) {}

  enum class Stage { open, ended, telling, told };
  bool met = false;                   // of the GIL
  std::unique_ptr<Reference> future;  // of the GIL; until all is done, as it keeps its task, which keeps this
  // Of the mutex of its Results.
  host::Job job;  // once it has ended
  Stage stage = Stage::open;
  std::thread::id teller;  // who runs its future's _tell()
  std::list<std::shared_ptr<Pledge>>::iterator at;
};

// The tasks of a pool whose futures have not been told. Workers put what has ended here, and never wait for
// the GIL. Whoever waits for a task tells its future if that is met by nobody: in one go with the GIL held,
// which nothing can tear. Everything else is done by threads of its own, where no signal's handler runs: one
// tells the futures and calls their callbacks, one after another, and while it is in one a second one tells
// the futures, as the callback may wait for them.
//
// Invariant: a pledge is in the list of its stage, one that is just being told in that of those that have
// ended, until nothing is to be done for it. One that is here keeps this alive, by its observer.
//
// In a fork's child the parent's lists are left alone, and their mutex, which may be held: a future of a task
// that has ended is told all the same, by whoever asks.
class Results : public std::enable_shared_from_this<Results> {
 public:
  explicit Results(Encoding encoding);

  std::shared_ptr<Pledge> pledge(py::object future);
  void put(const std::shared_ptr<Pledge>& pledge, const host::Job& job) noexcept;  // on a worker
  void forget(const std::shared_ptr<Pledge>& pledge) noexcept;                     // nothing comes of it

  // Of a task that has ended: its future is told when this returns. Throws what a signal handler raises
  // meanwhile; then it is told all the same.
  void tell(const std::shared_ptr<Pledge>& pledge);
  // The same, without a wait: whether it is told, which one that is met is by others.
  bool try_tell(const std::shared_ptr<Pledge>& pledge);
  bool ring() noexcept;  // has all that have ended told, on any thread; false: there is no thread for it
  // No task is to come any more. Until the futures of all are told, and all callbacks have returned: whether
  // they have. Not if this is called in one, or when the time is over; the threads end with the last one all
  // the same.
  bool finish(std::optional<Clock::time_point> deadline = std::nullopt);
  bool quiet() noexcept;                  // nothing is to be done
  bool calls_back() noexcept;             // on this thread, or tells: what it waits for would not come
  static void forget_parents() noexcept;  // in a fork's child

  const Encoding& encoding() const noexcept { return encoding_; }

 private:
  using Pledges = std::list<std::shared_ptr<Pledge>>;
  using Bells = std::array<std::shared_ptr<host::Bell>, 2>;
  enum Ringer : int { kFirst, kSecond, kNobody };
  // What a future is to be told.
  struct Outcome {
    const char* state;
    py::object result;
    py::object error;
  };

  static bool answer(const std::weak_ptr<Results>& weak, Ringer ringer);
  bool is_inherited() const noexcept;
  void tell_inherited(const std::shared_ptr<Pledge>& pledge);
  bool is_quiet() const noexcept;
  bool is_over() noexcept;
  void hang_up() noexcept;
  bool tell_all() noexcept;
  void call_back(Ringer ringer) noexcept;
  void put_into(const std::shared_ptr<Pledge>& pledge, const Outcome& outcome);
  bool tell_met(const std::shared_ptr<Pledge>& pledge, const Outcome& outcome);
  Outcome outcome_of(const Pledge& pledge);
  py::object exception_object_of_current() const;
  Ringer free_ringer() const noexcept { return calling_ == kFirst ? kSecond : kFirst; }
  bool is_ringer() noexcept;     // whether this is one of the bells' threads
  bool answers_here() noexcept;  // whether it is the one that a ring is for
  std::shared_ptr<Pledge> first_ended() noexcept;
  bool is_ended(const Pledge& pledge) noexcept;
  bool is_told(const Pledge& pledge) noexcept;
  bool is_telling(const Pledge& pledge) noexcept;

  const Encoding encoding_;
  const std::uint32_t generation_;
  std::mutex mutex_;
  Pledges open_;              // of tasks that have not ended
  Pledges ended_;             // whose futures are to be told
  Pledges told_;              // whose callbacks are to be called
  Ringer calling_ = kNobody;  // which of the bells' threads is in a callback
  std::thread::id caller_;    // its
  Bells bells_;
  bool closing_ = false;  // it is over when it is quiet
  bool over_ = false;
  host::Awaited progress_;  // of what mutex_ guards
};

// What puts what a task comes to into `results`, and the pledge that it is for.
struct Promised {
  std::unique_ptr<host::TaskObserver> observer;
  std::shared_ptr<Pledge> pledge;
};
Promised promise(const std::shared_ptr<Results>& results, py::object future);

}  // namespace osthread::python
