// About how much memory values hold outside of any state, for the accounts of it.
//
// Thread safety: as of the values.
#pragma once

#include <cstddef>
#include <exception>

#include "osthread/value.hpp"

namespace osthread {

// Graphs that they share count once, strings each time: what Lua code gives out is made so.
std::size_t footprint(const Values& values) noexcept;
// Of an error that came out of Lua code; 0 for null.
std::size_t footprint(const std::exception_ptr& error) noexcept;

}  // namespace osthread
