// Commands of the system's shell, as C's system(), popen() and pclose() run them, but so that a stop of the
// Lua code that waits for one ends it, and its children with it.
//
// A command leads a process group of its own, which a stop ends as a whole; but not where the process is the
// foreground of a terminal, where such a command could not read what is typed, nor hear Ctrl-C.
//
// Thread safety: everything may be called from any thread.
#pragma once

#include <cstdio>
#include <vector>

#include "open_files.hpp"

namespace osthread::commands {

// C's system(): the command's status, or -1 with errno.
int run(const char* command) noexcept;

// C's popen() and pclose().
std::FILE* open(const char* command, const char* mode) noexcept;
int close(std::FILE* file) noexcept;

// Ends commands that close() may still ask the status of: each has a moment to end by itself.
void stop(const std::vector<Command>& commands) noexcept;
// Ends a command whose status nobody wants.
void end_now(const Command& command) noexcept;
// Takes those that have ended so off the system's table; whether there are more, to be looked after again.
// std::bad_alloc.
bool look_after_ended();

// Closes a file; what it has buffered is forgotten.
void close_unwritten(std::FILE* file) noexcept;

}  // namespace osthread::commands
