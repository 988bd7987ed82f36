#include "fork.hpp"

namespace osthread {

std::uint32_t fork_generation() noexcept { return 0; }

}  // namespace osthread
