// Where a thread lands when it leaves Lua for good: the frames between the landing and the place that is left
// are skipped, so none of them may own anything.
//
// Thread safety: of one thread.
#pragma once

#include <cstddef>

namespace osthread {

class Landing {
 public:
  // Calls body(context). Whether it returned; false: leave() was called below it.
  bool call(void (*body)(void*), void* context);
  // From a frame below call(), also in a signal handler.
  [[noreturn]] void leave() noexcept;

 private:
  static constexpr std::size_t kSize = 512;
  alignas(16) unsigned char place_[kSize];  // what the platform remembers of the place
};

}  // namespace osthread
