#include "counted_call.hpp"

namespace osthread {
namespace {

// LuaJIT's errors unwind as C++ exceptions do.
class Counted {
 public:
  explicit Counted(std::atomic<int>& count) noexcept
      : count_(count), before_(count.load(std::memory_order_relaxed)) {
    count_.store(before_ + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Counted() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    count_.store(before_, std::memory_order_relaxed);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
  const int before_;
};

}  // namespace

int call_counted(std::atomic<int>& count, lua_State* L, lua_CFunction function) {
  const Counted counted(count);
  return function(L);
}

}  // namespace osthread
