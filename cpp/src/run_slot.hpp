// What the calling thread runs, for the files of Run.
#pragma once

#include "run.hpp"

namespace osthread {

// initial-exec: a handler may read it on any thread, and the first access to a dynamic one may call malloc.
#ifdef __ELF__
[[gnu::tls_model("initial-exec")]]
#endif
extern constinit thread_local RunSlot this_slot;

}  // namespace osthread
