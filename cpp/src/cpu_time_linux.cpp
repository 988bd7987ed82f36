#include <pthread.h>
#include <time.h>

#include "cpu_time.hpp"

namespace osthread {
namespace {

double seconds_of(clockid_t clock) noexcept {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return -1;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

double thread_cpu_seconds(std::uintptr_t handle) noexcept {
  clockid_t clock;
  if (pthread_getcpuclockid(static_cast<pthread_t>(handle), &clock) != 0) return -1;
  return seconds_of(clock);
}

double current_cpu_seconds() noexcept { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace osthread
