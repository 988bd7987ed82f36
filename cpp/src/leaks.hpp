// What is told when a state was left for good that had loaded C modules: their finalizers never run, so what
// they took from elsewhere (memory, handles, threads) is lost.
//
// Thread safety: everything may be called from any thread; the reporter is called on the one that was in the
// state.
#pragma once

#include <string>
#include <vector>

namespace osthread {

// `thread`: the OSThread's name, or empty. `kept`: the state's memory is not given back either, as a module
// has threads of its own that may use it.
using LeakReporter = void (*)(const std::string& thread, const std::vector<std::string>& modules,
                              bool kept) noexcept;
void set_leak_reporter(LeakReporter reporter) noexcept;
void report_leak(const std::string& thread, const std::vector<std::string>& modules, bool kept) noexcept;

}  // namespace osthread
