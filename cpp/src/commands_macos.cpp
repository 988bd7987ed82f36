#include "commands.hpp"

namespace osthread::commands {

// LuaJIT runs commands by itself here, and there is no kill that could leave files open.
void stop(const std::vector<Command>&) noexcept {}
void end_now(const Command&) noexcept {}
bool look_after_ended() { return false; }
void close_unwritten(std::FILE* file) noexcept { std::fclose(file); }

}  // namespace osthread::commands
