// What is known of the elements of buffers: sizes, and the C++ types of those that are numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "osthread/shared_buffer.hpp"

namespace osthread {

// In bytes; 0 for a structure.
std::size_t size_of(DType dtype) noexcept;
std::size_t alignment_of(DType dtype) noexcept;  // 1 for a structure

// Calls `use` with a zero of the element's type; std::invalid_argument for those that have no atomic
// operations.
template <class F>
auto visit_atomic(DType dtype, F use) {
  switch (dtype) {
    case DType::int8:
      return use(std::int8_t{});
    case DType::int16:
      return use(std::int16_t{});
    case DType::int32:
      return use(std::int32_t{});
    case DType::int64:
      return use(std::int64_t{});
    case DType::uint8:
      return use(std::uint8_t{});
    case DType::uint16:
      return use(std::uint16_t{});
    case DType::uint32:
      return use(std::uint32_t{});
    case DType::uint64:
      return use(std::uint64_t{});
    case DType::float32:
      return use(float{});
    case DType::float64:
      return use(double{});
    default:
      throw std::invalid_argument(std::string("elements of the dtype ") + name_of(dtype) +
                                  " have no atomic operations; integers, float32 and float64 have");
  }
}

}  // namespace osthread
