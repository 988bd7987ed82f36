// The files that Lua code has open, by the state that opened them, so that they can be closed when the state
// is discarded without running its finalizers. LuaJIT's calls of the C library come here (stdio_bundled.cpp).
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <vector>

namespace osthread {

class Vm;

// A command that runs in a process of its own.
struct Command {
  std::int64_t process = 0;
  bool own_group = false;  // it leads a process group, so its children can be reached with it
};

namespace open_files {

// Whether there was memory to note it.
bool add(std::FILE* file, Vm& owner, std::optional<Command> command = {}) noexcept;
// Whether it was noted, and what runs at its other end.
struct Removed {
  bool known = false;
  std::optional<Command> command;
};
Removed remove(std::FILE* file) noexcept;

// How many have been noted so far; and the commands of a state among those that came after. std::bad_alloc.
std::uint64_t count() noexcept;
std::vector<Command> commands_since(std::uint64_t count, const Vm& owner);

// Closes what the state has open, without writing what is still buffered, which could block, and ends the
// commands at the other ends.
void discard(const Vm& owner) noexcept;

}  // namespace open_files
}  // namespace osthread
