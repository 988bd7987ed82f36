#include "chunk.hpp"

#include <string_view>

#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "run.hpp"

namespace osthread {
namespace {

// Whether the code begins like `function (...)`: then it may be one function expression, which is no chunk.
bool starts_with_function(std::string_view code) {
  std::size_t at = 0;
  for (;;) {
    at = code.find_first_not_of(" \t\r\n\f\v", at);
    if (at == std::string_view::npos) return false;
    if (code.substr(at, 2) != "--") break;
    if (code.substr(at, 4) == "--[[") {
      at = code.find("]]", at);
      if (at == std::string_view::npos) return false;
      at += 2;
    } else {
      at = code.find('\n', at);
    }
  }
  constexpr std::string_view kWord = "function";
  if (code.substr(at, kWord.size()) != kWord) return false;
  at = code.find_first_not_of(" \t\r\n\f\v", at + kWord.size());
  return at != std::string_view::npos && code[at] == '(';
}

struct Pieces {
  std::string_view parts[3];
  int next = 0;
};

const char* next_piece(lua_State*, void* context, std::size_t* size) {
  auto* pieces = static_cast<Pieces*>(context);
  while (pieces->next < 3) {
    const std::string_view part = pieces->parts[pieces->next++];
    if (part.empty()) continue;
    *size = part.size();
    return part.data();
  }
  *size = 0;
  return nullptr;
}

}  // namespace

int load_chunk(lua_State* L) {
  const Run::Open open;  // it owns nothing, and a collection may run finalizers
  auto* source = static_cast<ChunkSource*>(lua_touserdata(L, 1));
  const Code& code = *source->code;
  if (!code.function().is_nil()) {
    push_values(L, *source->function);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot::kChunk);
    return 0;
  }
  const char* mode = source->bytecode ? "bt" : "t";
  const char* name = code.chunk_name().empty() ? code.source().c_str() : code.chunk_name().c_str();
  source->expression = starts_with_function(code.source());
  if (source->expression) {
    Pieces pieces{{"return (", code.source(), "\n)"}};  // in parentheses: one expression, no list
    source->status = lua_loadx(L, next_piece, &pieces, name, mode);
    if (source->status == LUA_ERRSYNTAX) {
      // What is wrong inside the function is told without our parenthesis; if nothing is, then what comes
      // after it, and the chunk's error is the clearer one.
      lua_settop(L, 1);
      Pieces alone{{"return ", code.source()}};
      source->status = lua_loadx(L, next_piece, &alone, name, mode);
      if (source->status == 0) {
        source->expression = false;
        lua_settop(L, 1);
      }
    }
  }
  if (!source->expression) {
    Pieces pieces{{code.source()}};
    source->status = lua_loadx(L, next_piece, &pieces, name, mode);
  }
  lua_rawseti(L, LUA_REGISTRYINDEX, slot::kChunk);  // the function, or the message
  return 0;
}

bool looks_like_path(const std::string& source) {
  const std::string_view text = std::string_view(source).substr(0, source.find_last_not_of(" \t\r\n") + 1);
  if (text.size() <= 4 || text.find_first_of("\n\t(){}\"'=;") != std::string_view::npos) return false;
  return text.ends_with(".lua") ||
         (text.find('/') != std::string_view::npos && text.find(' ') == std::string_view::npos);
}

}  // namespace osthread
