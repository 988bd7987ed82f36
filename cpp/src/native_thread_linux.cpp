#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "native_thread_os.hpp"

namespace osthread {
namespace {

constexpr std::size_t kBitsPerWord = CHAR_BIT * sizeof(unsigned long);

// As the kernel wants it, and as large as any kernel is built for: a cpu_set_t ends at CPU 1023.
using CpuMask = std::array<unsigned long, 8192 / kBitsPerWord>;

constexpr std::size_t kCpus = 8192;

bool contains(const CpuMask& mask, std::size_t cpu) noexcept {
  return (mask[cpu / kBitsPerWord] >> (cpu % kBitsPerWord) & 1UL) != 0;
}

std::error_code last_error() noexcept { return {errno, std::system_category()}; }

}  // namespace

std::size_t os::longest_name() noexcept { return 15; }  // TASK_COMM_LEN, without the final 0

void os::set_name(const char* name) noexcept { ::prctl(PR_SET_NAME, name); }

std::error_code os::set_priority(Priority priority) noexcept {
  // Beside what the creator has, as a program that runs under `nice` may not go back. 0 is the calling
  // thread, not the process as POSIX has it: Linux keeps a nice value for each thread.
  const int step = priority == Priority::low ? 5 : priority == Priority::high ? -5 : 0;
  const int nice = ::getpriority(PRIO_PROCESS, 0) + step;
  return ::setpriority(PRIO_PROCESS, 0, nice) == 0 ? std::error_code() : last_error();
}

os::Pinned os::set_affinity(const std::vector<int>& cpus) noexcept {
  const std::error_code no_such_cpu(EINVAL, std::system_category());
  CpuMask mask{};
  for (const int cpu : cpus) {
    const auto index = static_cast<std::size_t>(cpu);
    if (index >= kCpus) return {no_such_cpu, cpu};
    mask[index / kBitsPerWord] |= 1UL << (index % kBitsPerWord);
  }
  if (::syscall(SYS_sched_setaffinity, 0, sizeof mask, mask.data()) != 0) {
    return {last_error(), cpus.size() == 1 ? cpus.front() : -1};
  }
  // The kernel takes a set of which it can give one CPU at least, and forgets the others: those this machine
  // does not have, those that are offline, those outside the container's cpuset.
  CpuMask granted{};
  if (::syscall(SYS_sched_getaffinity, 0, sizeof granted, granted.data()) < 0) return {last_error()};
  for (const int cpu : cpus) {
    if (!contains(granted, static_cast<std::size_t>(cpu))) return {no_such_cpu, cpu};
  }
  return {};
}

std::uint64_t current_native_id() noexcept {
  // Not kept in a thread_local: after a fork() it would be the parent's. The wrapper gettid() needs
  // glibc 2.30.
  return static_cast<std::uint64_t>(::syscall(SYS_gettid));
}

}  // namespace osthread
