#include <io.h>

#include <algorithm>
#include <climits>
#include <cstdio>

#include "standard_output.hpp"

namespace osthread {

std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept {
  std::fflush(stdout);
  return ::_write(_fileno(stdout), bytes, static_cast<unsigned>(std::min<std::size_t>(size, INT_MAX)));
}

void wait_for_standard_output() noexcept {}  // a write never says EAGAIN here

}  // namespace osthread
