#include <setjmp.h>
#include <signal.h>

#include <new>

#include "interrupt.hpp"
#include "landing.hpp"

namespace osthread {

// Without the signal mask, which would cost a system call each time: leave() may come out of a handler, so
// the landing lets the signals through again that a handler holds back.
bool Landing::call(void (*body)(void*), void* context) {
  static_assert(sizeof(sigjmp_buf) <= kSize);
  if (sigsetjmp(*reinterpret_cast<sigjmp_buf*>(place_), 0) != 0) {
    interrupt::let_signals_through();
    return false;
  }
  body(context);
  return true;
}

void Landing::leave() noexcept { siglongjmp(*reinterpret_cast<sigjmp_buf*>(place_), 1); }

}  // namespace osthread
