// The options of a thread that Lua code starts.
#pragma once

#include <chrono>
#include <optional>

#include "osthread/options.hpp"

namespace osthread {

// What the table `given` (nil: none) says, and for the rest what the starting state has itself: `own` are its
// options, `left` what is left of its time limit. Libraries, limits and `jit` can only be narrowed.
// std::invalid_argument, ConversionError.
ThreadOptions inherited_options(const Value& given, const StateOptions& own,
                                std::optional<std::chrono::nanoseconds> left);

}  // namespace osthread
