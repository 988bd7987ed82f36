#include <windows.h>

#include <io.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>

#include "standard_output.hpp"

namespace osthread {

std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept {
  std::fflush(stdout);
  const int written =
      ::_write(_fileno(stdout), bytes, static_cast<unsigned>(std::min<std::size_t>(size, INT_MAX)));
  // interrupt::poke() has cancelled it. C's runtime has no errno for that, and calls it EINVAL.
  if (written < 0 && _doserrno == ERROR_OPERATION_ABORTED) errno = EINTR;
  return written;
}

void wait_for_standard_output() noexcept {}  // a write never says EAGAIN here

}  // namespace osthread
