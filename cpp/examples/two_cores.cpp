// The same work in one thread, then in two: how much faster depends on the cores that are free.
#include <chrono>
#include <iostream>
#include <osthread/osthread.hpp>
#include <thread>
#include <vector>

namespace {

// How many pairs of whole numbers in every `step`-th row of a square are coprime.
constexpr const char* kCoprime = R"(
  local first, step, size = ...
  local count = 0
  for i = first, size, step do
    for j = 1, size do
      local a, b = i, j
      while b ~= 0 do a, b = b, a % b end
      if a == 1 then count = count + 1 end
    end
  end
  return count
)";

struct Outcome {
  double seconds;
  long count;
};

Outcome compute(int threads) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<osthread::OSThread> workers;
  for (int i = 1; i <= threads; ++i) workers.emplace_back(kCoprime, osthread::Values{i, threads, 3000});
  long count = 0;
  for (const osthread::OSThread& worker : workers) count += worker.result().at(0).as<long>();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), count};
}

}  // namespace

int main() {
  const Outcome one = compute(1);
  const Outcome two = compute(2);
  std::cout << one.count << " of " << 3000 * 3000 << " pairs\n"
            << "one thread " << one.seconds << " s, two threads " << two.seconds
            << " s: " << one.seconds / two.seconds << " times as fast on "
            << std::thread::hardware_concurrency() << " cores\n";
  return one.count == two.count ? 0 : 1;
}
