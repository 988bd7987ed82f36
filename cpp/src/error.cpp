#include "osthread/error.hpp"

#include <utility>

namespace osthread {

// Destructors and copies live here, so that there is one type_info of each error, in the library that throws
// it.

LuaError::LuaError(ErrorDetails details)
    : std::runtime_error(details.message), details_(std::move(details)) {}
LuaError::~LuaError() = default;
LuaError::LuaError(const LuaError&) = default;

std::string LuaError::traceback() const { return format_traceback(details_.frames); }

LuaSyntaxError::LuaSyntaxError(ErrorDetails details, std::string chunk, int line)
    : LuaError(std::move(details)), chunk_(std::move(chunk)), line_(line) {}
LuaSyntaxError::~LuaSyntaxError() = default;
LuaSyntaxError::LuaSyntaxError(const LuaSyntaxError&) = default;

LuaMemoryError::~LuaMemoryError() = default;
LuaMemoryError::LuaMemoryError(const LuaMemoryError&) = default;

LuaTimeout::LuaTimeout(ErrorDetails details, StopStage stage) : LuaError(std::move(details)), stage_(stage) {}
LuaTimeout::~LuaTimeout() = default;
LuaTimeout::LuaTimeout(const LuaTimeout&) = default;

Stopped::Stopped(ErrorDetails details, StopStage stage) : LuaError(std::move(details)), stage_(stage) {}
Stopped::~Stopped() = default;
Stopped::Stopped(const Stopped&) = default;

Killed::~Killed() = default;
Killed::Killed(const Killed&) = default;

Abandoned::~Abandoned() = default;
Abandoned::Abandoned(const Abandoned&) = default;

ConversionError::ConversionError(std::string path, const std::string& reason, bool overflow)
    : std::runtime_error(path + ": " + reason), path_(std::move(path)), overflow_(overflow) {}
ConversionError::~ConversionError() = default;
ConversionError::ConversionError(const ConversionError&) = default;

HostException::HostException(const std::string& text, bool is_stop)
    : std::runtime_error(text), is_stop_(is_stop) {}
HostException::~HostException() = default;
HostException::HostException(const HostException&) = default;

WaitTimeout::~WaitTimeout() = default;
WaitTimeout::WaitTimeout(const WaitTimeout&) = default;

TaskCancelled::~TaskCancelled() = default;
TaskCancelled::TaskCancelled(const TaskCancelled&) = default;

BrokenPool::BrokenPool(const std::string& text, std::exception_ptr cause)
    : std::runtime_error(text), cause_(std::move(cause)) {}
BrokenPool::~BrokenPool() = default;
BrokenPool::BrokenPool(const BrokenPool&) = default;

ChannelClosed::~ChannelClosed() = default;
ChannelClosed::ChannelClosed(const ChannelClosed&) = default;

std::string format_traceback(const std::vector<Frame>& frames) {
  if (frames.empty()) return {};
  std::string text = "stack traceback:";
  for (const Frame& frame : frames) {
    text += "\n\t" + frame.source + ":";
    if (frame.line > 0) text += std::to_string(frame.line) + ":";
    text += frame.name.empty() ? " in ?" : " in " + frame.name;
  }
  return text;
}

}  // namespace osthread
