// What several test files need.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "event.hpp"
#include "osthread/osthread.hpp"

namespace osthread::test {

using namespace std::chrono_literals;

// How long a test waits for what is sure to come, on a machine that is busy with other things.
inline constexpr std::chrono::seconds kPatience{60};

// A function of the host that tells when a chunk has called it.
class Signal {
 public:
  Value value() {
    return function([called = called_](const Values&) -> Values {
      called->happen();
      return {};
    });
  }
  void wait(int calls = 1) const { called_->wait(calls); }
  int calls() const { return called_->times(); }

 private:
  // Shared with the function: an abandoned thread may still be in it when this is gone.
  const std::shared_ptr<Event> called_ = std::make_shared<Event>();
};

// What C++ code holds up in a chunk, until it is opened.
class Gate {
 public:
  ~Gate() { open(); }
  Value value() {
    return function([inside = inside_, opened = opened_](const Values&) -> Values {
      inside->happen();
      opened->wait();
      return {};
    });
  }
  void wait_inside() const { inside_->wait(); }
  void open() { opened_->happen(); }

 private:
  const std::shared_ptr<Event> inside_ = std::make_shared<Event>();
  const std::shared_ptr<Event> opened_ = std::make_shared<Event>();
};

inline double as_number(const Value& value) { return value.as<double>(); }
inline std::string as_text(const Value& value) { return value.as<std::string>(); }

// Runs one chunk in a state of its own.
inline Values lua(const std::string& code, const Values& args = {}, StateOptions options = {}) {
  LuaState state(std::move(options));
  return state.execute(Code(code, "=test"), args);
}

}  // namespace osthread::test
