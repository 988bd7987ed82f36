#include <unistd.h>

#include <cstdio>

#include "standard_output.hpp"

namespace osthread {

std::ptrdiff_t write_standard_output(const char* bytes, std::size_t size) noexcept {
  std::fflush(stdout);
  return ::write(STDOUT_FILENO, bytes, size);
}

}  // namespace osthread
