#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include "standard_output.hpp"

namespace osthread {
namespace {

// A signal that comes just before poll() sleeps is looked at so many milliseconds later.
constexpr int kLookAgain = 10;

}  // namespace

std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept {
  std::fflush(stdout);
  return ::write(STDOUT_FILENO, bytes, size);
}

void wait_for_standard_output() noexcept {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  ::poll(&output, 1, kLookAgain);
}

}  // namespace osthread
