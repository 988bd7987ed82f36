#include "../../cpp/src/spare_blocks.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace osthread;

TEST_CASE("a block that one thread frees is what another gets") {
  constexpr std::size_t kSize = 1000;
  // Fills the shelf, so that each look finds something.
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(spare_blocks::allocate(kSize));
  for (void* block : blocks) spare_blocks::deallocate(block, kSize);
  void* got = nullptr;
  std::thread([&] { got = spare_blocks::allocate(kSize - 1); }).join();  // of the same size, in effect
  CHECK(std::find(blocks.begin(), blocks.end(), got) != blocks.end());
  spare_blocks::deallocate(got, kSize - 1);
  spare_blocks::give_back();
}

TEST_CASE("blocks of any size have that size") {
  for (const std::size_t size : {1u, 127u, 128u, 129u, 255u, 256u, 257u, 5119u, 5120u, 5121u, 100'000u}) {
    for (int round = 0; round < 3; ++round) {
      void* block = spare_blocks::allocate(size);
      std::memset(block, round, size);  // the sanitizers look
      spare_blocks::deallocate(block, size);
    }
  }
}

TEST_CASE("no block is anybody's twice") {
  constexpr int kThreads = 4;
  constexpr std::size_t kSizes[] = {200, 900, 1000, 4000};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const auto mark = static_cast<unsigned char>(t + 1);
      std::vector<std::pair<unsigned char*, std::size_t>> held;
      for (int i = 0; i < 20'000; ++i) {
        const std::size_t size = kSizes[static_cast<std::size_t>(i + t) % std::size(kSizes)];
        auto* const block = static_cast<unsigned char*>(spare_blocks::allocate(size));
        std::memset(block, mark, size);
        held.emplace_back(block, size);
        if (held.size() < 16) continue;
        for (const auto& [each, bytes] : held) {
          wrong += each[0] != mark || each[bytes - 1] != mark;
          spare_blocks::deallocate(each, bytes);
        }
        held.clear();
      }
      for (const auto& [each, bytes] : held) spare_blocks::deallocate(each, bytes);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
