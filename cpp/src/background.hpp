// For work that may wait.
#pragma once

namespace osthread {

// From here on the calling thread runs only when a CPU has nothing better to do, as far as the system has
// such a thing. It can't be taken back without privileges.
void lower_own_priority() noexcept;

}  // namespace osthread
