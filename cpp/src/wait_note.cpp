#include "wait_note.hpp"

namespace osthread {
namespace {

constinit thread_local WaitNote* note_of_this_thread = nullptr;

}  // namespace

WaitNote* wait_note() noexcept { return note_of_this_thread; }
void set_wait_note(WaitNote* note) noexcept { note_of_this_thread = note; }

}  // namespace osthread
