#include "osthread/lua_pool.hpp"

#include <stdexcept>
#include <utility>

#include "deadline.hpp"
#include "pool_arrays.hpp"
#include "pool_core.hpp"

namespace osthread {

const char* to_string(TaskStatus status) noexcept {
  switch (status) {
    case TaskStatus::queued:
      return "queued";
    case TaskStatus::running:
      return "running";
    case TaskStatus::finished:
      return "finished";
    case TaskStatus::failed:
      return "failed";
    case TaskStatus::cancelled:
      return "cancelled";
  }
  return "unknown";
}

LuaTask::LuaTask(std::shared_ptr<PoolCore> pool, std::shared_ptr<PoolJob> job)
    : pool_(std::move(pool)), job_(std::move(job)) {}

TaskStatus LuaTask::status() const noexcept { return job_->status(0); }
bool LuaTask::done() const noexcept { return job_->done(); }
bool LuaTask::cancel() { return pool_->cancel(job_); }

void LuaTask::wait() const {
  persist([this] { return job_->wait(std::nullopt, Blocking::Caller::host); });
}

bool LuaTask::wait_for(std::chrono::nanoseconds timeout) const {
  const Clock::time_point deadline = deadline_after(timeout);
  return persist([&] { return job_->wait(deadline, Blocking::Caller::host); }) == Wait::over;
}

Values LuaTask::get() const {
  wait();
  return job_->results(0);
}

LuaPool::LuaPool(PoolOptions options) : core_(std::make_shared<PoolCore>(std::move(options))) {}

LuaPool::~LuaPool() {
  core_->close(false);
  try {
    while (core_->wait(std::nullopt, Blocking::Caller::outsider) != Wait::over) continue;
  } catch (const std::logic_error&) {
    // Its workers are not here (fork), or this is one of them: they end by themselves.
    return;
  }
}

LuaTask LuaPool::submit(const Code& code, Values args) {
  auto job = std::make_shared<PoolJob>(
      PoolJob::Work{.function = core_->function_of(code), .arguments = std::move(args)});
  core_->submit(job);
  return {core_, std::move(job)};
}

namespace {

// All of it, in order; what is thrown cancels the rest.
std::vector<Values> run_all(PoolCore& core, PoolJob::Work work) {
  const auto job = std::make_shared<PoolJob>(std::move(work));
  core.submit(job);
  std::vector<Values> results;
  results.reserve(job->count());
  try {
    persist([&] { return job->wait_through(std::nullopt, Blocking::Caller::host); });
    for (std::size_t item = 0; item < job->count(); ++item)
      if (job->settled(item)) results.push_back(job->results(item));  // or what it failed with
  } catch (...) {
    core.cancel(job);
    // Until the workers have given back what they were lent.
    persist([&] { return job->wait(std::nullopt, Blocking::Caller::host); });
    throw;
  }
  return results;
}

}  // namespace

std::vector<Values> LuaPool::map(const Code& code, const std::vector<Values>& argument_lists,
                                 std::size_t chunk) {
  PoolJob::Work work{.function = core_->function_of(code), .count = argument_lists.size(), .chunk = chunk};
  for (const Values& list : argument_lists) {
    if (list.size() != argument_lists.front().size())
      throw std::invalid_argument("map: the argument lists must be of one length");
    work.arguments.insert(work.arguments.end(), list.begin(), list.end());
  }
  return run_all(*core_, std::move(work));
}

std::vector<Values> LuaPool::map_array(const Code& code, const std::vector<SharedBuffer>& arrays,
                                       MapArrayOptions options) {
  return run_all(*core_, work_over(*core_, code, arrays, std::move(options)));
}

void LuaPool::shutdown(bool wait, bool cancel) {
  core_->close(cancel);
  if (wait) persist([this] { return core_->wait(std::nullopt, Blocking::Caller::host); });
}

void LuaPool::terminate() {
  for (int round = 0; round < 2; ++round) {  // again for finalizers, which begin when the tasks have ended
    core_->stop_all();
    const Clock::time_point deadline = core_->stopped_by();
    if (persist([&] { return core_->wait(deadline, Blocking::Caller::host); }) == Wait::over) return;
  }
  core_->abandon();
}

PoolStatistics LuaPool::statistics() const { return core_->statistics(); }

}  // namespace osthread
