#include "leaks.hpp"

#include <atomic>

namespace osthread {
namespace {

constinit std::atomic<LeakReporter> reporter{nullptr};

}  // namespace

void set_leak_reporter(LeakReporter report) noexcept {
  // Release: whatever the reporter needs is there when it is first called.
  reporter.store(report, std::memory_order_release);
}

void report_leak(const std::string& thread, const std::vector<std::string>& modules, bool kept) noexcept {
  if (const LeakReporter report = reporter.load(std::memory_order_acquire)) report(thread, modules, kept);
}

}  // namespace osthread
