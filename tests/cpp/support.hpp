// What several test files need.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>

#include "osthread/osthread.hpp"

namespace osthread::test {

using namespace std::chrono_literals;

// How long a test waits for what is sure to come, on a machine that is busy with other things.
inline constexpr std::chrono::seconds kPatience{60};

// A function of the host that tells when a chunk has called it.
class Signal {
 public:
  Value value() {
    return function([this](const Values&) -> Values {
      calls_.fetch_add(1);
      calls_.notify_all();
      return {};
    });
  }
  void wait(int calls = 1) const {
    for (int now = calls_.load(); now < calls; now = calls_.load()) calls_.wait(now);
  }
  int calls() const { return calls_.load(); }

 private:
  std::atomic<int> calls_{0};
};

// What C++ code holds up in a chunk, until it is opened.
class Gate {
 public:
  ~Gate() { open(); }
  Value value() {
    return function([this](const Values&) -> Values {
      inside_ = true;
      inside_.notify_all();
      open_.wait(false);
      return {};
    });
  }
  void wait_inside() const { inside_.wait(false); }
  void open() {
    open_ = true;
    open_.notify_all();
  }

 private:
  std::atomic<bool> inside_{false};
  std::atomic<bool> open_{false};
};

inline double as_number(const Value& value) { return value.as<double>(); }
inline std::string as_text(const Value& value) { return value.as<std::string>(); }

// Runs one chunk in a state of its own.
inline Values lua(const std::string& code, const Values& args = {}, StateOptions options = {}) {
  LuaState state(std::move(options));
  return state.execute(Code(code, "=test"), args);
}

}  // namespace osthread::test
