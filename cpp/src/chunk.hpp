// Lua source, compiled in a state: a chunk, or one function expression.
#pragma once

#include <string>

#include "lua_headers.hpp"
#include "osthread/options.hpp"

namespace osthread {

// What load_chunk is asked and what it answers; the context of its protected call.
struct ChunkSource {
  const Code* code;
  bool bytecode;
  bool expression;         // out: it is one function expression
  int status;              // out: of loading it
  const Values* function;  // of a code that is one; else empty
};

// A protected body: leaves the function, or what is wrong with the code, in slot::kChunk.
int load_chunk(lua_State* L);

// Whether a source that does not compile may have been meant as a file's name.
bool looks_like_path(const std::string& source);

}  // namespace osthread
