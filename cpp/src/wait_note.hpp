// What a thread of ours tells others about its waiting, for statistics: what for, and since when.
//
// Thread safety: written by its own thread, read by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace osthread {

struct WaitNote {
  std::atomic<const char*> what{nullptr};  // "sleep", ...; null: it does not wait
  std::atomic<const void*> on{nullptr};    // which object of that kind, if there are several
  std::atomic<std::int64_t> since{0};      // Clock's nanoseconds
  std::int64_t resumed = 0;  // of the thread: when the wait that goes on now began; 0: it is new
  std::string thread;        // its name
};

// Of the calling thread; null if it is not ours.
WaitNote* wait_note() noexcept;
void set_wait_note(WaitNote* note) noexcept;

}  // namespace osthread
