// A LuaPool runs Lua functions on native threads of its own, each with a state that lasts.
//
//   osthread::LuaPool pool;
//   osthread::LuaTask task = pool.submit("function(a, b) return a + b end", {1, 2});
//   double three = task.get().at(0).as<double>();
//   std::vector<Values> squares = pool.map("function(x) return x * x end", {{1}, {2}, {3}});
//
// Tasks are taken in the order in which they came, by whichever worker is free; those of a map one at a time,
// so that uneven ones balance. A function is made once in each state that runs it, and its globals, modules
// and upvalues stay there for the next task.
//
// Thread safety: everything may be called from any thread. After a fork the child has none of the workers:
// everything throws std::logic_error there.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "osthread/error.hpp"
#include "osthread/export.hpp"
#include "osthread/options.hpp"
#include "osthread/shared_buffer.hpp"
#include "osthread/value.hpp"

namespace osthread {

class PoolJob;
class PoolCore;

struct PoolOptions {
  std::size_t max_workers = 0;      // 0: as many as there are CPUs for this process
  std::string setup{};              // a chunk that runs once in each state
  std::size_t tasks_per_state = 0;  // then the state is replaced; 0: never
  // Of the workers and their states: `name` is what their names begin with (empty: "LuaPool-N"), `time_limit`
  // is for each task. What only one thread can have is refused: suspended, on_exit, chunk_name, closes,
  // notify.
  ThreadOptions threads{};
};

struct MapArrayOptions {
  std::optional<SharedBuffer> out{};  // one more array, after the others
  Values args{};                      // after start and stop
  std::size_t chunk = 0;              // rows of the first axis for each call; 0: 16 calls for each worker
  std::optional<std::pair<std::size_t, std::size_t>> rows{};  // from the first, to the second; none: all
};

enum class TaskStatus { queued, running, finished, failed, cancelled };
OSTHREAD_EXPORT const char* to_string(TaskStatus status) noexcept;

struct PoolStatistics {
  std::size_t max_workers = 0;
  std::size_t workers = 0;  // threads that there are
  std::size_t idle = 0;     // of them
  std::size_t queued = 0;   // tasks that nobody has begun; a map's items each count as one
  std::size_t running = 0;
  std::size_t finished = 0;
  std::size_t failed = 0;
  std::size_t cancelled = 0;
  std::size_t states = 0;  // that were made
};

// What has been submitted: a handle, whose copies are the same task.
class OSTHREAD_EXPORT LuaTask {
 public:
  TaskStatus status() const noexcept;
  bool done() const noexcept;
  // Takes it from the queue, or interrupts its code, and kills that if it does not answer within the grace
  // time; whether it had not ended. What ends then throws TaskCancelled or Stopped.
  bool cancel();
  // Wait until it has ended; Stopped if the Lua code that calls this is being stopped.
  void wait() const;
  [[nodiscard]] bool wait_for(std::chrono::nanoseconds timeout) const;
  // Waits: its results, or throws what it raised.
  Values get() const;

 private:
  friend class LuaPool;
  LuaTask(std::shared_ptr<PoolCore> pool, std::shared_ptr<PoolJob> job);
  std::shared_ptr<PoolCore> pool_;
  std::shared_ptr<PoolJob> job_;
};

class OSTHREAD_EXPORT LuaPool {
 public:
  // std::invalid_argument, LuaSyntaxError of `setup`. Threads are made as they are needed.
  explicit LuaPool(PoolOptions options = {});
  // Waits until all that was submitted has ended.
  ~LuaPool();
  LuaPool(const LuaPool&) = delete;
  LuaPool& operator=(const LuaPool&) = delete;

  // LuaSyntaxError; std::logic_error after shutdown(); BrokenPool if `setup` has failed.
  LuaTask submit(const Code& code, Values args = {});

  // Calls the code with each of the argument lists, which are of one length, and waits: the results in order.
  // Throws what the first of them raised, and cancels the rest. `chunk`: how many a worker takes at a time.
  std::vector<Values> map(const Code& code, const std::vector<Values>& argument_lists, std::size_t chunk = 1);

  // Calls f(a1, ..., an[, out], start, stop, ...args) for slices of the first axis, counted from 0, `stop`
  // excluded, and waits: what each call returned, in order. The arrays are typed FFI pointers, of which a
  // wild index crashes the process; checked SharedBuffers where the states have no library ffi. All have the
  // same first axis (std::invalid_argument).
  std::vector<Values> map_array(const Code& code, const std::vector<SharedBuffer>& arrays,
                                MapArrayOptions options = {});

  // Takes no more, and cancels what is queued if asked to; waits for what runs if asked to.
  void shutdown(bool wait = true, bool cancel = false);
  // The same, and ends what runs: interrupts it, and kills what does not answer. What is left after that sits
  // in foreign code: its task is given up (Abandoned).
  void terminate();
  PoolStatistics statistics() const;

  const std::shared_ptr<PoolCore>& core() const noexcept { return core_; }  // of the bindings

 private:
  std::shared_ptr<PoolCore> core_;
};

}  // namespace osthread
