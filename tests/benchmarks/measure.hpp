// What the benchmark programs share: samples, and the lines that they print.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace benchmark {

using Clock = std::chrono::steady_clock;

inline double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// Measurements of one thing. Medians and quantiles, not means: other programs run on the machine too.
class Samples {
 public:
  void add(double value) {
    values_.push_back(value);
    sorted_ = false;
  }
  double quantile(double part) {
    if (!sorted_) std::sort(values_.begin(), values_.end());
    sorted_ = true;
    const auto last = static_cast<double>(values_.size() - 1);
    return values_.at(static_cast<std::size_t>(part * last));
  }
  double median() { return quantile(0.5); }

 private:
  std::vector<double> values_;
  bool sorted_ = false;
};

// One line of the table, for people and for tests/benchmarks/__main__.py: fields between tabs. `peer` is
// empty where there is nothing to compare with; the ratio is ours to the peer's. A goal begins with "<=" or
// ">=" and bounds the ratio or, without a peer, the figure itself; empty: none.
inline void print_row(const std::string& what, double ours, const std::string& unit, const std::string& peer,
                      double peers, const std::string& goal) {
  std::printf("%s\t%.6g\t%s\t%s\t%.6g\t%s\n", what.c_str(), ours, unit.c_str(), peer.c_str(), peers,
              goal.c_str());
  std::fflush(stdout);
}

inline void print_row(const std::string& what, double ours, const std::string& unit,
                      const std::string& goal = {}) {
  print_row(what, ours, unit, "", 0, goal);
}

// The number of rounds: the argument of the program, or what it takes by itself.
inline int rounds(int argc, char** argv, int usual) { return argc > 1 ? std::atoi(argv[1]) : usual; }

// Lets ended threads be gone, and what they do last be done.
inline void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

}  // namespace benchmark
