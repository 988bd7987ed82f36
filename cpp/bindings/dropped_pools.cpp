#include "dropped_pools.hpp"

#include <algorithm>
#include <vector>

#include "python_wait.hpp"

namespace osthread::python::dropped_pools {
namespace {

// Neither is kept alive by this: workers keep the pool, tasks whose futures have not been told the results.
struct Dropped {
  std::weak_ptr<PoolCore> pool;
  std::weak_ptr<Results> results;
};

// Never destroyed, as the interpreter may be gone by then.
std::vector<Dropped>& all = *new std::vector<Dropped>;

void stop(const host::Pool& pool) {
  for (int round = 0; round < 2; ++round) {  // again for finalizers, which begin when the tasks have ended
    {
      const GilRelease release;
      host::stop_all(*pool);
    }
    const Clock::time_point deadline = host::stopped_by(*pool);
    if (wait_for([&] { return host::wait(*pool, deadline); })) return;
  }
  const GilRelease release;
  host::abandon(*pool);
}

// One after another, as the wait lets the GIL go, and then others may be dropped.
template <class Wait>
void wait_for_each(Wait wait) {
  while (!all.empty()) {
    const Dropped each = all.back();
    const host::Pool pool = each.pool.lock();
    if (pool) wait(pool);
    if (const auto results = each.results.lock()) results->settle();
    std::erase_if(all, [&](const Dropped& other) { return other.pool.lock() == pool; });
  }
}

}  // namespace

void note(const host::Pool& pool, const std::shared_ptr<Results>& results) noexcept {
  std::erase_if(all, [](const Dropped& each) { return each.pool.expired(); });
  try {
    if (host::statistics(*pool).workers != 0) all.push_back({pool, results});
  } catch (const std::bad_alloc&) {
    return;  // then the program's end does not wait for it
  }
}

void finish() {
  wait_for_each([](const host::Pool& pool) { wait_for([&] { return host::wait(*pool, std::nullopt); }); });
}

void end() { wait_for_each(stop); }

void forget_parents() noexcept { all.clear(); }

}  // namespace osthread::python::dropped_pools
