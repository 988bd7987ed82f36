#include "half_float.hpp"

#include <bit>
#include <cmath>

namespace osthread {
namespace {

// A sign, 5 bits of exponent (biased by 15), 10 bits of fraction.
constexpr std::uint16_t kSign = 0x8000;
constexpr std::uint16_t kInfinity = 0x7c00;
constexpr std::uint16_t kQuiet = 0x0200;
constexpr int kFractionBits = 10;
constexpr int kBias = 15;
constexpr double kOverflow = 65520;  // halfway between the largest half and the next power of two
constexpr double kLeastNormal = 0x1p-14;

}  // namespace

double half_to_double(std::uint16_t half) noexcept {
  const int exponent = (half & kInfinity) >> kFractionBits;
  const int fraction = half & ((1 << kFractionBits) - 1);
  double number = 0;
  if (exponent == 31)
    number = fraction == 0 ? HUGE_VAL : std::nan("");
  else if (exponent == 0)
    number = std::ldexp(fraction, 1 - kBias - kFractionBits);
  else
    number = std::ldexp(fraction + (1 << kFractionBits), exponent - kBias - kFractionBits);
  return (half & kSign) != 0 ? -number : number;
}

std::uint16_t double_to_half(double number) noexcept {
  const auto sign = static_cast<std::uint16_t>(std::signbit(number) ? kSign : 0);
  const double size = std::fabs(number);
  if (std::isnan(number)) return static_cast<std::uint16_t>(sign | kInfinity | kQuiet);
  if (size >= kOverflow) return static_cast<std::uint16_t>(sign | kInfinity);
  // Counted in units of the last bit, rounding carries into the exponent by itself. nearbyint rounds as the
  // environment says, which is to even.
  int exponent = 1 - kBias;
  if (size >= kLeastNormal) exponent = std::ilogb(size);
  const double units = std::nearbyint(std::ldexp(size, kFractionBits - exponent));
  const int base = size >= kLeastNormal ? (exponent + kBias - 1) << kFractionBits : 0;
  return static_cast<std::uint16_t>(sign | (base + static_cast<int>(units)));
}

}  // namespace osthread
