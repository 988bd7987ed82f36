#include "pool_results.hpp"

#include <algorithm>

#include "host.hpp"
#include "python_errors.hpp"
#include "python_wait.hpp"

namespace osthread::python {

using host::Job;

namespace {

constexpr const char* kFinished = "FINISHED";  // as concurrent.futures has them
constexpr const char* kCancelled = "CANCELLED_AND_NOTIFIED";

constinit std::atomic<std::uint32_t> forks{0};

void set(py::handle future, const char* state, const py::object& result, const py::object& error) {
  future.attr("_result") = result;
  future.attr("_exception") = error;
  future.attr("_state") = state;  // last: result() looks at it first
}

py::object error_of(const PoolJob& job, std::size_t item, const Encoding& encoding) {
  const std::exception_ptr error = host::error(job, item);
  return error ? exception_object(error, host::error_frames(job, item), encoding) : py::none();
}

class Observer final : public host::TaskObserver {
 public:
  explicit Observer(std::shared_ptr<Results> results) : results_(std::move(results)) {}
  ~Observer() override {
    if (pledge_) results_->forget(pledge_);
  }
  void pledge(py::object future) { pledge_ = results_->pledge(std::move(future)); }
  const std::shared_ptr<Pledge>& pledge() const noexcept { return pledge_; }
  void done(const Job& job) noexcept override {
    results_->put(pledge_, job);
    pledge_ = nullptr;
  }
  void unawaited() noexcept override { results_->ring(); }

 private:
  const std::shared_ptr<Results> results_;
  std::shared_ptr<Pledge> pledge_;
};

}  // namespace

py::object result_of(PoolJob& job, std::size_t item, const Encoding& encoding) {
  py::object result = unpack(host::results(job, item), encoding);
  host::forget(job, item);
  return result;
}

Promised promise(const std::shared_ptr<Results>& results, py::object future) {
  auto observer = std::make_unique<Observer>(results);  // first: it forgets the pledge if nothing comes of it
  observer->pledge(std::move(future));
  std::shared_ptr<Pledge> pledge = observer->pledge();
  return {std::move(observer), std::move(pledge)};
}

Results::Results(Encoding encoding)
    : encoding_(std::move(encoding)), generation_(forks.load(std::memory_order_relaxed)) {}

// Relaxed: there is one thread then.
void Results::forget_parents() noexcept { forks.fetch_add(1, std::memory_order_relaxed); }
bool Results::is_inherited() const noexcept { return generation_ != forks.load(std::memory_order_relaxed); }

std::shared_ptr<Pledge> Results::pledge(py::object future) {
  auto pledge = std::make_shared<Pledge>(std::move(future));
  Pledges one{pledge};
  pledge->at = one.begin();
  const std::lock_guard lock(mutex_);
  open_.splice(open_.end(), one);
  return pledge;
}

void Results::put(const std::shared_ptr<Pledge>& pledge, const Job& job) noexcept {
  const std::lock_guard lock(mutex_);
  pledge->job = job;
  pledge->stage = Pledge::Stage::ended;
  ended_.splice(ended_.end(), open_, pledge->at);
}

void Results::forget(const std::shared_ptr<Pledge>& pledge) noexcept {
  if (is_inherited()) return;
  {
    Pledges gone;  // dropped after the lock
    const std::lock_guard lock(mutex_);
    gone.splice(gone.end(), open_, pledge->at);
  }
  progress_.changed();
}

// Looked at again and again, as whatever makes an outcome may run any code, this too.
bool Results::try_tell(const std::shared_ptr<Pledge>& pledge) {
  if (is_inherited()) {
    tell_inherited(pledge);
    return true;
  }
  if (!pledge->met && !is_told(*pledge)) {
    const Outcome outcome = outcome_of(*pledge);
    // From here on no code runs but this: so nobody meets it meanwhile.
    if (!pledge->met) put_into(pledge, outcome);
  }
  return is_told(*pledge);
}

void Results::tell_inherited(const std::shared_ptr<Pledge>& pledge) {
  if (pledge->stage == Pledge::Stage::told || !pledge->future) return;
  const Outcome outcome = outcome_of(*pledge);
  set(pledge->future->get(), outcome.state, outcome.result, outcome.error);
  pledge->stage = Pledge::Stage::told;
}

void Results::tell(const std::shared_ptr<Pledge>& pledge) {
  if (try_tell(pledge)) return;
  if (!ring())
    call_back(kFirst);
  else if (answers_here())
    tell_all();
  if (is_telling(*pledge))  // a finalizer, for one, that the collector runs in _tell()
    throw std::logic_error("this future is just being told what it waits for");
  wait_for([&] { return progress_.wait([&] { return is_told(*pledge); }, std::nullopt); });
}

// Of one that is met by nobody: three attributes, unless somebody tells it.
void Results::put_into(const std::shared_ptr<Pledge>& pledge, const Outcome& outcome) {
  if (!is_ended(*pledge)) return;
  set(pledge->future->get(), outcome.state, outcome.result, outcome.error);
  Pledges gone;  // dropped after the lock
  {
    const std::lock_guard lock(mutex_);
    gone.splice(gone.end(), ended_, pledge->at);
    pledge->stage = Pledge::Stage::told;
  }
  progress_.changed();
  host::forget(*pledge->job, 0);
  pledge->future = nullptr;
}

// The same of one that is met, which Python code tells; false: that failed.
bool Results::tell_met(const std::shared_ptr<Pledge>& pledge, const Outcome& outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (pledge->stage != Pledge::Stage::ended) return true;
    pledge->stage = Pledge::Stage::telling;
    pledge->teller = std::this_thread::get_id();
  }
  bool told = true;
  try {
    call(pledge->future->get().attr("_tell"), py::make_tuple(outcome.state, outcome.result, outcome.error));
  } catch (py::error_already_set& error) {
    told = false;
    discard(error, "the result of a LuaPool's task");
  } catch (const std::exception&) {  // no memory for the call
    told = false;
  }
  {
    const std::lock_guard lock(mutex_);
    pledge->teller = {};
    pledge->stage = told ? Pledge::Stage::told : Pledge::Stage::ended;
    if (told) told_.splice(told_.end(), ended_, pledge->at);
  }
  progress_.changed();
  if (told) host::forget(*pledge->job, 0);
  return told;
}

std::shared_ptr<Pledge> Results::first_ended() noexcept {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Pledge>& pledge : ended_)
    if (pledge->stage == Pledge::Stage::ended) return pledge;
  return nullptr;
}

// Whether all that have ended are told: not if there is no memory for it, which the next ring tries again.
bool Results::tell_all() noexcept {
  while (const std::shared_ptr<Pledge> pledge = first_ended()) {
    try {
      Outcome outcome{kFinished, py::none(), py::none()};
      try {
        outcome = outcome_of(*pledge);
      } catch (const std::exception&) {
        outcome.error = exception_object_of_current();
      }
      if (!pledge->met)
        put_into(pledge, outcome);
      else if (!tell_met(pledge, outcome))
        return false;
    } catch (py::error_already_set& error) {
      discard(error, "the result of a LuaPool's task");
      return false;
    } catch (const std::exception&) {
      return false;
    }
  }
  return true;
}

// Those that are told, one after another; whatever ends meanwhile is told first.
void Results::call_back(Ringer ringer) noexcept {
  for (;;) {
    if (!tell_all()) return;
    Pledges taken;
    {
      const std::lock_guard lock(mutex_);
      if (calling_ != kNobody || told_.empty()) return;
      if (std::any_of(ended_.begin(), ended_.end(),
                      [](const auto& pledge) { return pledge->stage == Pledge::Stage::ended; }))
        continue;
      taken.splice(taken.end(), told_, told_.begin());
      calling_ = ringer;
      caller_ = std::this_thread::get_id();
    }
    try {
      call(taken.front()->future->get().attr("_call_back"));
    } catch (py::error_already_set& error) {
      discard(error, "a callback of a LuaPool's future");
    } catch (const std::exception&) {  // no memory for the call, of which it can be told
      PyErr_NoMemory();
      py::error_already_set error;
      discard(error, "a callback of a LuaPool's future");
    }
    taken.front()->future = nullptr;
    {
      const std::lock_guard lock(mutex_);
      calling_ = kNobody;
      caller_ = {};
    }
    progress_.changed();
  }
}

bool Results::ring() noexcept {
  if (is_inherited()) return false;
  const std::lock_guard lock(mutex_);
  if (over_) return false;
  const Ringer ringer = free_ringer();
  std::shared_ptr<host::Bell>& bell = bells_[ringer];
  try {
    if (!bell)
      bell = std::make_shared<host::Bell>("LuaPool-results",
                                          [weak = weak_from_this(), ringer] { return answer(weak, ringer); });
  } catch (const std::bad_alloc&) {
    return false;
  }
  return bell->ring();
}

bool Results::answer(const std::weak_ptr<Results>& weak, Ringer ringer) {
  const std::shared_ptr<Results> results = weak.lock();
  if (!results || ending()) return false;
  {
    const std::lock_guard lock(results->mutex_);
    if (results->ended_.empty() && results->told_.empty()) return !results->over_;
  }
  try {
    const GilHold gil;
    keep_thread_state();
    results->call_back(ringer);
  } catch (const InterpreterEnding&) {
    return false;
  }
  if (!results->is_over()) return true;
  results->hang_up();
  return false;
}

bool Results::is_ringer() noexcept {
  const std::lock_guard lock(mutex_);
  return std::any_of(bells_.begin(), bells_.end(),
                     [](const auto& bell) { return bell && bell->is_current(); });
}

bool Results::answers_here() noexcept {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<host::Bell>& bell = bells_[free_ringer()];
  return bell && bell->is_current();
}

bool Results::is_ended(const Pledge& pledge) noexcept {
  const std::lock_guard lock(mutex_);
  return pledge.stage == Pledge::Stage::ended;
}

bool Results::is_told(const Pledge& pledge) noexcept {
  const std::lock_guard lock(mutex_);
  return pledge.stage == Pledge::Stage::told;
}

// Whether this thread is.
bool Results::is_telling(const Pledge& pledge) noexcept {
  const std::lock_guard lock(mutex_);
  return pledge.teller == std::this_thread::get_id();
}

// A task whose worker has gone may be open still: whoever cancels it is about to put it here.
bool Results::is_quiet() const noexcept {
  return open_.empty() && ended_.empty() && told_.empty() && calling_ == kNobody;
}

bool Results::quiet() noexcept {
  if (is_inherited()) return true;
  const std::lock_guard lock(mutex_);
  return is_quiet();
}

bool Results::is_over() noexcept {
  const std::lock_guard lock(mutex_);
  return over_ || (closing_ && is_quiet());
}

bool Results::calls_back() noexcept {
  if (is_inherited()) return false;
  if (is_ringer()) return true;
  const std::lock_guard lock(mutex_);
  const std::thread::id me = std::this_thread::get_id();
  return caller_ == me ||
         std::any_of(ended_.begin(), ended_.end(), [&](const auto& pledge) { return pledge->teller == me; });
}

bool Results::finish(std::optional<Clock::time_point> deadline) {
  if (is_inherited()) return true;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  if (!quiet()) {
    if (calls_back()) {
      // In a finalizer, outside of callbacks, this thread has been taken from what others wait for.
      if (answers_here()) tell_all();
      return false;
    }
    if (!ring()) call_back(kFirst);
    if (!wait_for([&] { return progress_.wait([&] { return quiet(); }, deadline); })) return false;
  }
  hang_up();
  return true;
}

void Results::hang_up() noexcept {
  Bells bells;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  over_ = true;
  bells.swap(bells_);
}

// While it is not told.
Results::Outcome Results::outcome_of(const Pledge& pledge) {
  const py::object future = py::reinterpret_borrow<py::object>(pledge.future->get());
  const Job job = pledge.job;
  if (host::status(*job, 0) == TaskStatus::cancelled) return {kCancelled, py::none(), py::none()};
  Outcome outcome{kFinished, py::none(), error_of(*job, 0, encoding_)};
  if (outcome.error.is_none()) {
    try {
      outcome.result = unpack(host::results(*job, 0), encoding_);
    } catch (const py::error_already_set&) {
      throw;
    } catch (const std::exception&) {  // it has no form in Python
      outcome.error = exception_object_of_current();
    }
  }
  if (!outcome.error.is_none()) outcome.error = call(future.attr("_as_own"), py::make_tuple(outcome.error));
  return outcome;
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
