#include "dtype.hpp"

#include <array>

namespace osthread {
namespace {

struct Known {
  DType dtype;
  const char* name;
  std::size_t size;
  std::size_t alignment;
};

// In the order of the enumeration.
constexpr std::array<Known, 15> kKnown{{{DType::boolean, "bool", 1, 1},
                                        {DType::int8, "int8", 1, 1},
                                        {DType::int16, "int16", 2, 2},
                                        {DType::int32, "int32", 4, 4},
                                        {DType::int64, "int64", 8, 8},
                                        {DType::uint8, "uint8", 1, 1},
                                        {DType::uint16, "uint16", 2, 2},
                                        {DType::uint32, "uint32", 4, 4},
                                        {DType::uint64, "uint64", 8, 8},
                                        {DType::float16, "float16", 2, 2},
                                        {DType::float32, "float32", 4, 4},
                                        {DType::float64, "float64", 8, 8},
                                        {DType::complex64, "complex64", 8, 4},
                                        {DType::complex128, "complex128", 16, 8},
                                        {DType::structure, "structure", 0, 1}}};

const Known& known(DType dtype) noexcept { return kKnown[static_cast<std::size_t>(dtype)]; }

}  // namespace

const char* name_of(DType dtype) noexcept { return known(dtype).name; }
std::size_t size_of(DType dtype) noexcept { return known(dtype).size; }
std::size_t alignment_of(DType dtype) noexcept { return known(dtype).alignment; }

DType dtype_named(std::string_view name) {
  std::string names;
  for (const Known& each : kKnown) {
    if (each.dtype == DType::structure) continue;
    if (each.name == name) return each.dtype;
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  }
  throw std::invalid_argument("there is no dtype \"" + std::string(name) + "\"; there are " + names);
}

}  // namespace osthread
