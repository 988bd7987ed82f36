#include "pool_end.hpp"

#include <vector>

#include "python_wait.hpp"

namespace osthread::python::pool_end {
namespace {

// Neither is kept alive by this: workers keep the pool, tasks whose futures have not been told the results.
struct Dropped {
  std::weak_ptr<PoolCore> pool;
  std::weak_ptr<Results> results;

  bool over() const noexcept { return pool.expired() && results.expired(); }
  bool is(const Dropped& other) const noexcept {  // when it is over, too
    return !pool.owner_before(other.pool) && !other.pool.owner_before(pool);
  }
};

// Never destroyed, as the interpreter may be gone by then.
std::vector<Dropped>& all_dropped = *new std::vector<Dropped>;

// One after another, as the wait lets the GIL go, and then others may be dropped.
template <class End>
void end_each(End end) {
  while (!all_dropped.empty()) {
    const Dropped each = all_dropped.back();
    end(each.pool.lock(), each.results.lock());
    std::erase_if(all_dropped, [&](const Dropped& other) { return other.is(each); });
  }
}

}  // namespace

std::size_t terminate(const host::Pool& pool) {
  for (int round = 0; round < 2; ++round) {  // again for finalizers, which begin when the tasks have ended
    {
      const GilRelease release;
      host::stop_all(*pool);
    }
    const Clock::time_point deadline = host::stopped_by(*pool);
    if (wait_for([&] { return host::wait(*pool, deadline); })) return 0;
  }
  const GilRelease release;
  return host::abandon(*pool);
}

void note_dropped(const host::Pool& pool, const std::shared_ptr<Results>& results) noexcept {
  std::erase_if(all_dropped, [](const Dropped& each) { return each.over(); });
  try {
    if (host::statistics(*pool).workers != 0 || !results->quiet()) all_dropped.push_back({pool, results});
  } catch (const std::bad_alloc&) {
    return;  // then the program's end does not wait for it
  }
}

void finish_dropped() {
  end_each([](const host::Pool& pool, const std::shared_ptr<Results>& results) {
    if (pool) wait_for([&] { return host::wait(*pool, std::nullopt); });
    if (results) results->finish();
  });
}

GivenUp terminate_dropped(std::chrono::nanoseconds patience) {
  GivenUp given_up;
  end_each([&](const host::Pool& pool, const std::shared_ptr<Results>& results) {
    if (pool) given_up.workers += terminate(pool);
    if (results) given_up.callbacks += !results->finish(host::deadline_after(patience));
  });
  return given_up;
}

void forget_parents() noexcept {
  all_dropped.clear();
  Results::forget_parents();
}

}  // namespace osthread::python::pool_end
