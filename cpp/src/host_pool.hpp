// What a language binding needs of a pool beyond its public header: tasks that tell of their end, and waits
// that a signal can cut short.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "osthread/lua_pool.hpp"
#include "waiter.hpp"

namespace osthread::host {

using Pool = std::shared_ptr<PoolCore>;
using Job = std::shared_ptr<PoolJob>;

// Told on the thread that ended the task: a worker, or whoever cancelled it.
class OSTHREAD_EXPORT TaskObserver {
 public:
  virtual ~TaskObserver();
  virtual void done(const Job& job) noexcept = 0;  // before anybody can find it done
  virtual void unawaited() noexcept = 0;           // after that, if nobody waits for it
};

// A thread of the library's that answers the host's rings, one answer for those that came meanwhile. It
// starts with the first ring.
class OSTHREAD_EXPORT Bell {
 public:
  // `answer` is called on that thread, and once more when the Bell goes; once it returns false the thread
  // ends. Where no thread can be made, nobody answers.
  Bell(std::string name, std::function<bool()> answer);
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  bool ring() noexcept;              // false: there is nobody to answer
  bool is_current() const noexcept;  // whether this is its thread

 private:
  struct State;
  static int main(void* state);
  std::shared_ptr<State> state_;
};

// What threads of the host wait for, beside what this library does.
class OSTHREAD_EXPORT Awaited {
 public:
  Awaited();
  ~Awaited();
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;
  // Until over(), which is asked after each changed().
  Wait wait(const std::function<bool()>& over, std::optional<Clock::time_point> deadline);
  void changed() noexcept;

 private:
  const std::unique_ptr<Waiter> waiter_;
};

OSTHREAD_EXPORT Pool make_pool(PoolOptions options);
OSTHREAD_EXPORT void require_usable(const PoolCore& pool);  // std::logic_error after a fork
// `arguments`: of `count` items, one list after another. As LuaPool::submit and map.
OSTHREAD_EXPORT Job submit(PoolCore& pool, const Code& code, Values arguments, std::size_t count,
                           std::size_t chunk, std::unique_ptr<TaskObserver> observer);
OSTHREAD_EXPORT Job submit_over(PoolCore& pool, const Code& code, const std::vector<SharedBuffer>& arrays,
                                MapArrayOptions options);
OSTHREAD_EXPORT bool cancel(PoolCore& pool, const Job& job);
OSTHREAD_EXPORT void close(PoolCore& pool, bool cancel) noexcept;
OSTHREAD_EXPORT void stop_all(PoolCore& pool) noexcept;
OSTHREAD_EXPORT Wait wait(PoolCore& pool, std::optional<Clock::time_point> deadline);
OSTHREAD_EXPORT Clock::time_point stopped_by(const PoolCore& pool) noexcept;
OSTHREAD_EXPORT std::size_t abandon(PoolCore& pool) noexcept;
OSTHREAD_EXPORT PoolStatistics statistics(PoolCore& pool);
OSTHREAD_EXPORT const PoolOptions& options(const PoolCore& pool) noexcept;

OSTHREAD_EXPORT std::size_t count(const PoolJob& job) noexcept;
OSTHREAD_EXPORT TaskStatus status(const PoolJob& job, std::size_t item) noexcept;
OSTHREAD_EXPORT bool done(const PoolJob& job) noexcept;
OSTHREAD_EXPORT bool settled(const PoolJob& job, std::size_t item) noexcept;
// std::logic_error after a fork.
OSTHREAD_EXPORT Wait wait(const PoolCore& pool, PoolJob& job, std::optional<Clock::time_point> deadline);
// Until it is done, or something in it has failed.
OSTHREAD_EXPORT Wait wait_through(const PoolCore& pool, PoolJob& job);
OSTHREAD_EXPORT Wait wait(const PoolCore& pool, PoolJob& job, std::size_t item,
                          std::optional<Clock::time_point> deadline);
// Of a settled item: null if it has results.
OSTHREAD_EXPORT std::exception_ptr error(const PoolJob& job, std::size_t item);
OSTHREAD_EXPORT std::vector<Frame> error_frames(const PoolJob& job, std::size_t item);
OSTHREAD_EXPORT Values results(const PoolJob& job, std::size_t item);
// The host holds its results now.
OSTHREAD_EXPORT void forget(PoolJob& job, std::size_t item) noexcept;

}  // namespace osthread::host
