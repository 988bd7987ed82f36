# cmake -DINPUT=module.lua -DOUTPUT=module.cpp -P embed_lua.cmake: a Lua file as a C++ character array.
# An array, since string literals have a length limit; character literals, since bytes above 127 do not
# fit into a char as numbers. The array ends with a zero that the size does not count.

get_filename_component(stem "${INPUT}" NAME_WE)
file(READ "${INPUT}" bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
string(REPLACE "'\\x0a'," "'\\x0a',\n" bytes "${bytes}")

file(WRITE "${OUTPUT}" "// Made from ${stem}.lua by embed_lua.cmake.
#include <cstddef>

namespace osthread::embedded {
extern const char kLuaModule_${stem}[];
extern const std::size_t kLuaModule_${stem}_size;

const char kLuaModule_${stem}[] = {
${bytes}'\\0'};
const std::size_t kLuaModule_${stem}_size = ${size};
}  // namespace osthread::embedded
")
