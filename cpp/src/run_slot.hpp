// What the calling thread runs, for the files of Run.
#pragma once

#include "run.hpp"

namespace osthread {

// initial-exec: a handler may read it on any thread, and the first access to a dynamic one may call malloc.
#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
extern constinit thread_local RunSlot this_slot;

// In place of the time at which a signal of the host came.
inline constexpr std::int64_t kOnlySuspected = INT64_MAX;

}  // namespace osthread
