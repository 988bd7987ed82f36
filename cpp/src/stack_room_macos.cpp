#include "stack_room.hpp"

// There is no kill on macOS, and so no landing that it would be for.
namespace osthread::stack_room {

void use_guard() noexcept {}
void reserve(std::uintptr_t, std::uintptr_t) {}
std::uintptr_t first_threads_low() noexcept { return 0; }
bool open(std::uintptr_t) noexcept { return false; }
void close() noexcept {}

}  // namespace osthread::stack_room
