// Numbers of 16 bits (binary16 of IEEE 754), which neither C++20 nor LuaJIT knows.
#pragma once

#include <cstdint>

namespace osthread {

double half_to_double(std::uint16_t half) noexcept;
// To the nearest, ties to even; what is too large becomes infinite.
std::uint16_t double_to_half(double number) noexcept;

}  // namespace osthread
