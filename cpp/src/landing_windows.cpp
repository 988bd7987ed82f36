#include "landing.hpp"

namespace osthread {
namespace {

// A frame of its own: a place may not be left to from the function that has remembered it.
[[gnu::noinline]] void call_below(void (*body)(void*), void* context) { body(context); }

}  // namespace

// The compiler's own pair: longjmp() unwinds here, frame by frame.
bool Landing::call(void (*body)(void*), void* context) {
  static_assert(5 * sizeof(void*) <= kSize);
  if (__builtin_setjmp(reinterpret_cast<void**>(place_)) != 0) return false;
  call_below(body, context);
  return true;
}

void Landing::leave() noexcept { __builtin_longjmp(reinterpret_cast<void**>(place_), 1); }

}  // namespace osthread
