#include "pool_results.hpp"

#include "host.hpp"
#include "python_errors.hpp"
#include "python_wait.hpp"

namespace osthread::python {

using host::Job;

namespace {

constexpr const char* kFinished = "FINISHED";  // as concurrent.futures has them
constexpr const char* kCancelled = "CANCELLED_AND_NOTIFIED";

py::object error_of(const PoolJob& job, std::size_t item, const Encoding& encoding) {
  const std::exception_ptr error = host::error(job, item);
  return error ? exception_object(error, host::error_frames(job, item), encoding) : py::none();
}

class Observer final : public host::TaskObserver {
 public:
  Observer(std::shared_ptr<Results> results, std::shared_ptr<Pledge> pledge)
      : results_(std::move(results)), pledge_(std::move(pledge)) {}
  ~Observer() override {
    if (pledge_) results_->forget(pledge_);
  }
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

std::unique_ptr<host::TaskObserver> observer_of(std::shared_ptr<Results> results,
                                                std::shared_ptr<Pledge> pledge) {
  return std::make_unique<Observer>(std::move(results), std::move(pledge));
}

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
  pledge->ended = true;
  ended_.splice(ended_.end(), open_, pledge->at);
}

void Results::forget(const std::shared_ptr<Pledge>& pledge) noexcept {
  Pledges gone;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  gone.splice(gone.end(), open_, pledge->at);
}

// The first of a list, if there is one.
bool Results::take(Pledges& from, Pledges& to) {
  if (from.empty()) return false;
  from.front()->ended = false;
  to.splice(to.end(), from, from.begin());
  ++telling_;
  return true;
}

void Results::put_back(Pledges& taken) noexcept {
  const std::lock_guard lock(mutex_);
  --telling_;
  taken.front()->ended = true;
  ended_.splice(ended_.begin(), taken);
}

void Results::tell(const std::shared_ptr<Pledge>& pledge, bool met_too) {
  if (tell_here(pledge, met_too) || is_told(*pledge)) return;
  if (!ring() || answers_here()) {
    tell_all();
    // A finalizer that the collector runs in the middle of that.
    if (!is_told(*pledge)) throw std::logic_error("this future is just being told what it waits for");
    return;
  }
  wait_for([&] { return progress_.wait([&] { return is_told(*pledge); }, std::nullopt); });
}

// Whether it did.
bool Results::tell_here(const std::shared_ptr<Pledge>& pledge, bool met_too) {
  if (pledge->met && !met_too) return false;
  Pledges taken;
  {
    const std::lock_guard lock(mutex_);
    if (!pledge->ended) return false;  // somebody tells it, or has done so
    pledge->ended = false;
    taken.splice(taken.end(), ended_, pledge->at);
    ++telling_;
  }
  try {
    const Outcome outcome = outcome_of(*pledge);
    // If it is met by nobody no code runs from here on but this: so nobody meets it meanwhile.
    if (met_too || !pledge->met) {
      put_into(*pledge, outcome);
      note_told(taken);
      if (pledge->met) ring();
      return true;
    }
  } catch (const std::exception&) {
    put_back(taken);
    ring();
    throw;
  }
  put_back(taken);
  return false;
}

void Results::put_into(const Pledge& pledge, const Outcome& outcome) {
  const py::handle future = pledge.future->get();
  if (pledge.met) {
    future.attr("_tell")(outcome.state, outcome.result, outcome.error);
  } else {
    future.attr("_result") = outcome.result;
    future.attr("_exception") = outcome.error;
    future.attr("_state") = outcome.state;  // last: result() looks at it first
  }
  host::forget(*pledge.job, 0);
}

// Of an unmet future nobody wants anything any more.
void Results::note_told(Pledges& taken) noexcept {
  if (!taken.front()->met) taken.front()->future = nullptr;
  const std::lock_guard lock(mutex_);
  --telling_;
  taken.front()->told = true;
  if (taken.front()->future) told_.splice(told_.end(), taken);
  progress_.changed();
}

void Results::tell_all() noexcept {
  for (;;) {
    Pledges taken;
    {
      const std::lock_guard lock(mutex_);
      if (!take(ended_, taken)) return;
    }
    const Pledge& pledge = *taken.front();
    try {
      Outcome outcome{kFinished, py::none(), py::none()};
      try {
        outcome = outcome_of(pledge);
      } catch (const std::exception&) {  // no memory: then it is told that
        outcome.error = exception_object_of_current();
      }
      put_into(pledge, outcome);
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("the result of a LuaPool's task");
    }
    note_told(taken);
  }
}

// Those that are told, one after another; whatever ends meanwhile is told first.
void Results::call_back(Ringer ringer) noexcept {
  for (;;) {
    tell_all();
    Pledges taken;
    {
      const std::lock_guard lock(mutex_);
      if (!ended_.empty()) continue;
      if (calling_ != kNobody || !take(told_, taken)) return;
      calling_ = ringer;
    }
    try {
      taken.front()->future->get().attr("_call_back")();
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("a callback of a LuaPool's future");
    }
    taken.front()->future = nullptr;
    const std::lock_guard lock(mutex_);
    --telling_;
    calling_ = kNobody;
    progress_.changed();
  }
}

bool Results::ring() noexcept {
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
    results->call_back(ringer);
  } catch (const InterpreterEnding&) {
    return false;
  }
  return true;
}

// Whether this is the thread that a ring is for.
bool Results::answers_here() noexcept {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<host::Bell>& bell = bells_[free_ringer()];
  return bell && bell->is_current();
}

bool Results::is_told(const Pledge& pledge) noexcept {
  const std::lock_guard lock(mutex_);
  return pledge.told;
}

bool Results::quiet() noexcept {
  const std::lock_guard lock(mutex_);
  return ended_.empty() && told_.empty() && telling_ == 0;
}

void Results::finish() {
  if (quiet()) return;
  if (!ring()) {
    call_back(kFirst);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    for (const std::shared_ptr<host::Bell>& bell : bells_)
      if (bell && bell->is_current()) return;  // its own callback waits here
  }
  wait_for([&] { return progress_.wait([&] { return quiet(); }, std::nullopt); });
}

void Results::hang_up() noexcept {
  Bells bells;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  over_ = true;
  bells.swap(bells_);
}

Results::Outcome Results::outcome_of(const Pledge& pledge) {
  PoolJob& job = *pledge.job;
  if (host::status(job, 0) == TaskStatus::cancelled) return {kCancelled, py::none(), py::none()};
  Outcome outcome{kFinished, py::none(), error_of(job, 0, encoding_)};
  if (outcome.error.is_none()) {
    try {
      outcome.result = unpack(host::results(job, 0), encoding_);
    } catch (const py::error_already_set&) {
      throw;
    } catch (const std::exception&) {  // it has no form in Python
      outcome.error = exception_object_of_current();
    }
  }
  if (!outcome.error.is_none()) outcome.error = pledge.future->get().attr("_as_own")(outcome.error);
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
