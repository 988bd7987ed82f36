// Lua errors in two threads at once: how many more than in one. The unwinder's lock shows here.
#include <osthread/osthread.hpp>

#include "measure.hpp"
#include "run.hpp"

namespace {

using namespace benchmark;

constexpr int kErrors = 100'000;

double errors_per_second(int threads) {
  const std::string code = "for i = 1, " + std::to_string(kErrors) + " do pcall(error, 'x') end";
  std::vector<osthread::OSThread> all;
  for (int i = 0; i < threads; ++i) all.push_back(suspended(code));
  return threads * kErrors / microseconds_of(std::move(all)) * 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  Samples one, two;
  const int times = rounds(argc, argv, 7);
  for (int i = 0; i < times; ++i) {
    one.add(errors_per_second(1));
    two.add(errors_per_second(2));
  }
  print_row("pcall(error) in two threads", two.median() / 1e6, "M/s", "one thread", one.median() / 1e6, "");
}
