#include <pybind11/stl.h>

#include <algorithm>

#include "bindings.hpp"
#include "pool_end.hpp"
#include "python_errors.hpp"
#include "python_function.hpp"
#include "python_shared.hpp"
#include "python_types.hpp"
#include "python_wait.hpp"

namespace osthread::python {
namespace {

using host::Job;
using host::Pool;

// How many results of a map are made Python objects at a time.
constexpr std::size_t kMostAtOnce = 1024;

struct PyPool {
  const Pool pool;
  const std::shared_ptr<Results> results;

  PyPool(Pool p, Encoding encoding)
      : pool(std::move(p)), results(std::make_shared<Results>(std::move(encoding))) {}
  PyPool(const PyPool&) = delete;
  PyPool& operator=(const PyPool&) = delete;
  ~PyPool() {
    host::close(*pool, false);
    pool_end::note_dropped(pool, results);
  }
};

struct PyTask {
  Pool pool;
  Job job;
  std::shared_ptr<Results> results;
  std::shared_ptr<Pledge> pledge;  // null: it has no future
};

PoolOptions pool_options(const py::dict& options, std::size_t max_workers, std::string setup,
                         std::size_t tasks_per_state, const Encoding& encoding) {
  return {.max_workers = max_workers,
          .setup = std::move(setup),
          .tasks_per_state = tasks_per_state,
          .threads = thread_options(options, encoding)};
}

std::unique_ptr<PyPool> make(const py::dict& options, std::size_t max_workers, const py::bytes& setup,
                             std::size_t tasks_per_state) {
  Encoding encoding = encoding_of(options);
  PoolOptions target = pool_options(options, max_workers, std::string(setup), tasks_per_state, encoding);
  Pool pool;
  {
    const GilRelease release;
    pool = host::make_pool(std::move(target));
  }
  return std::make_unique<PyPool>(std::move(pool), std::move(encoding));
}

Code code_of(const py::object& code, const std::string& chunk_name) {
  if (is_of<FunctionValue>(code)) return Code(code.cast<const FunctionValue&>().value);
  return Code(std::string(py::reinterpret_borrow<py::bytes>(code)), chunk_name);
}

std::unique_ptr<PyTask> submit(Self<PyPool> pool, const py::object& code, const std::string& chunk_name,
                               const py::tuple& args, const py::object& future) {
  host::require_usable(*pool->pool);
  const Encoding& encoding = pool->results->encoding();
  Values values = to_values(args, "args", encoding);
  auto [observer, pledge] = promise(pool->results, future);
  Job job =
      host::submit(*pool->pool, code_of(code, chunk_name), std::move(values), 1, 1, std::move(observer));
  return std::make_unique<PyTask>(PyTask{pool->pool, std::move(job), pool->results, std::move(pledge)});
}

// The error of an item, of many.
[[noreturn]] void raise_item(const std::exception_ptr& error, const std::vector<Frame>& frames,
                             std::size_t item, const Encoding& encoding) {
  const py::object exception = exception_object(error, frames, encoding);
  if (!is_of(exception, types().errors.attr("BrokenLuaPool")))
    add_note(exception, "in item " + std::to_string(item) + ", counted from 0");
  raise_object(exception);
}

// `lists`: the argument lists, as tuples; or the arguments themselves, if each is alone in its list.
std::unique_ptr<PyTask> map(Self<PyPool> pool, const py::object& code, const std::string& chunk_name,
                            const py::list& lists, bool alone, std::size_t chunk) {
  const Encoding& encoding = pool->results->encoding();
  const std::size_t count = lists.size();
  Values values;
  if (alone) values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const py::handle list = PyList_GET_ITEM(lists.ptr(), static_cast<Py_ssize_t>(i));
    try {
      if (alone) {
        values.push_back(to_value(list, "args[1]", encoding));
        continue;
      }
      Values one = to_values(py::reinterpret_borrow<py::tuple>(list), "args", encoding);
      if (values.empty()) values.reserve(count * one.size());
      std::move(one.begin(), one.end(), std::back_inserter(values));
    } catch (const ConversionError&) {
      raise_item(std::current_exception(), {}, i, encoding);
    }
  }
  Job job = host::submit(*pool->pool, code_of(code, chunk_name), std::move(values), count, chunk, nullptr);
  return std::make_unique<PyTask>(PyTask{pool->pool, std::move(job), pool->results, nullptr});
}

std::unique_ptr<PyTask> map_array(Self<PyPool> pool, const py::object& code, const std::string& chunk_name,
                                  const py::tuple& arrays, const py::object& out, const py::tuple& args,
                                  std::size_t chunk,
                                  std::optional<std::pair<std::size_t, std::size_t>> rows) {
  std::vector<SharedBuffer> buffers;
  for (const py::handle array : arrays) buffers.push_back(shared_to_value(array).as<SharedBuffer>());
  MapArrayOptions options{
      .out = {}, .args = to_values(args, "args", pool->results->encoding()), .chunk = chunk, .rows = rows};
  if (!out.is_none()) options.out = shared_to_value(out).as<SharedBuffer>();
  const Code kernel = code_of(code, chunk_name);
  const GilRelease release;
  Job job = host::submit_over(*pool->pool, kernel, buffers, std::move(options));
  return std::make_unique<PyTask>(PyTask{pool->pool, std::move(job), pool->results, nullptr});
}

bool wait(Self<PyTask> task, const py::object& timeout) {
  const auto deadline = deadline_of(timeout);
  const auto over = [&] { return host::wait(*task->pool, *task->job, deadline); };
  try {
    // Looked at once more when time is up: of an end while this waited nobody else was told.
    const bool ended = host::done(*task->job) || wait_for(over) || host::done(*task->job);
    if (ended) {
      drop_dead_references();  // what the task was lent has died on a worker's thread
      if (task->pledge) task->results->tell(task->pledge);
    }
    return ended;
  } catch (const std::exception&) {
    if (host::done(*task->job)) task->results->ring();
    throw;
  }
}

// One that had not begun has ended by this, and its future says so.
bool cancel(Self<PyTask> task) {
  bool asked = false;
  {
    const GilRelease release;
    asked = host::cancel(*task->pool, task->job);
  }
  if (task->pledge && host::done(*task->job)) task->results->tell(task->pledge);
  return asked;
}

// The future gets a condition, unless it has one. Nothing else runs meanwhile.
void meet(Self<PyTask> task, const py::object& future, const py::object& condition, const py::list& waiters,
          const py::list& callbacks) {
  if (task->pledge->met) return;
  future.attr("_condition") = condition;
  future.attr("_waiters") = waiters;
  future.attr("_done_callbacks") = callbacks;
  task->pledge->met = true;
}

// The results of items from `first` on that are there, at least one, unless the time runs out: then none. Of
// one that failed: raises that.
py::list take(Self<PyTask> task, std::size_t first, const py::object& timeout) {
  PoolJob& job = *task->job;
  const auto deadline = deadline_of(timeout);
  py::list results;
  if (!host::settled(job, first) && !wait_for([&] { return host::wait(*task->pool, job, first, deadline); }))
    return results;
  const std::size_t end = std::min(host::count(job), first + kMostAtOnce);
  for (std::size_t item = first; item < end && host::settled(job, item); ++item) {
    if (host::status(job, item) != TaskStatus::finished) {
      if (item > first) break;  // its turn comes
      raise_item(host::error(job, item), host::error_frames(job, item), item, task->results->encoding());
    }
    results.append(result_of(job, item, task->results->encoding()));
  }
  return results;
}

// All results, when they are there. Of one that failed: raises that, as soon as it has.
py::list collect(Self<PyTask> task) {
  PoolJob& job = *task->job;
  wait_for([&] { return host::wait_through(*task->pool, job); });
  const std::size_t count = host::count(job);
  for (std::size_t item = 0; item < count; ++item)
    if (host::settled(job, item) && host::status(job, item) != TaskStatus::finished)
      raise_item(host::error(job, item), host::error_frames(job, item), item, task->results->encoding());
  drop_dead_references();
  py::list results(count);
  for (std::size_t item = 0; item < count; ++item)
    PyList_SET_ITEM(results.ptr(), static_cast<Py_ssize_t>(item),
                    result_of(job, item, task->results->encoding()).release().ptr());
  return results;
}

}  // namespace

void bind_pool(py::module_& module) {
  module.def(
      "finish_dropped_pools", &pool_end::finish_dropped,
      "Waits until pools that nobody has any more have done what they were given, and told the futures.");
  module.def(
      "terminate_dropped_pools",
      [](double patience) {
        const pool_end::GivenUp given_up = pool_end::terminate_dropped(duration(patience));
        return std::pair(given_up.workers, given_up.callbacks);
      },
      py::arg("patience"),
      "The same, but terminates them: how many workers, and callbacks, were given up as they did not end.");
  const auto release = py::call_guard<GilRelease>();
  py::class_<PyTask>(module, "PoolTask", "What a pool was given to do.")
      .def("_wait", &wait, py::arg("timeout"))
      .def("_take", &take, py::arg("first"), py::arg("timeout"))
      .def("_collect", &collect)
      .def("_cancel", &cancel)
      .def("_meet", &meet, py::arg("future"), py::arg("condition"), py::arg("waiters"), py::arg("callbacks"))
      .def("_count", [](Self<PyTask> task) { return host::count(*task->job); })
      .def(
          "_done",
          [](Self<PyTask> task) {
            return host::done(*task->job) && (!task->pledge || task->results->try_tell(task->pledge));
          },
          "Whether it has ended, and its future, if it has one, says so.")
      .def("_status", [](Self<PyTask> task) { return to_string(host::status(*task->job, 0)); });
  py::class_<PyPool>(module, "Pool", "Workers with a Lua state each; osthread.LuaPool is its public face.",
                     py::dynamic_attr())
      .def(py::init(&make), py::arg("options"), py::arg("max_workers"), py::arg("setup"),
           py::arg("tasks_per_state"))
      .def("_submit", &submit, py::arg("code"), py::arg("chunk_name"), py::arg("args"), py::arg("future"))
      .def("_map", &map, py::arg("code"), py::arg("chunk_name"), py::arg("lists"), py::arg("alone"),
           py::arg("chunk"))
      .def("_map_array", &map_array, py::arg("code"), py::arg("chunk_name"), py::arg("arrays"),
           py::arg("out"), py::arg("args"), py::arg("chunk"), py::arg("rows"))
      .def(
          "_close", [](Self<PyPool> pool, bool cancel) { host::close(*pool->pool, cancel); },
          py::arg("cancel"), release)
      .def(
          "_wait",
          [](Self<PyPool> pool, const py::object& timeout) {
            const auto deadline = deadline_of(timeout);
            return wait_for([&] { return host::wait(*pool->pool, deadline); });
          },
          py::arg("timeout"))
      .def("_terminate", [](Self<PyPool> pool) { return pool_end::terminate(pool->pool); })
      .def(
          "_finish",
          [](Self<PyPool> pool, const py::object& timeout) {
            return pool->results->finish(deadline_of(timeout));
          },
          py::arg("timeout"))
      .def("_calls_back", [](Self<PyPool> pool) { return pool->results->calls_back(); })
      .def("_statistics",
           [](Self<PyPool> pool) {
             const PoolStatistics now = host::statistics(*pool->pool);
             using namespace py::literals;
             return py::dict("max_workers"_a = now.max_workers, "workers"_a = now.workers,
                             "idle"_a = now.idle, "queued"_a = now.queued, "running"_a = now.running,
                             "finished"_a = now.finished, "failed"_a = now.failed,
                             "cancelled"_a = now.cancelled, "states"_a = now.states);
           })
      .def("_name", [](Self<PyPool> pool) { return host::options(*pool->pool).threads.name; });
}

}  // namespace osthread::python
