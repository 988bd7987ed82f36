#include "frames.hpp"

namespace osthread {
namespace {

constexpr int kMostFrames = 100;

std::string describe_function(const lua_Debug& info) {
  if (info.name && *info.name) return "function '" + std::string(info.name) + "'";
  if (*info.what == 'm') return "main chunk";
  if (*info.what == 'C') return {};
  return "function <" + std::string(info.short_src) + ":" + std::to_string(info.linedefined) + ">";
}

// By doubling and bisection: each look-up walks the stack from its top.
int count_levels(lua_State* L, int level) {
  lua_Debug info;
  int exists = level - 1, beyond = level + 1;
  while (lua_getstack(L, beyond - 1, &info)) {
    exists = beyond - 1;
    beyond = exists * 2 + 2;
  }
  --beyond;
  while (beyond - exists > 1) {
    const int middle = exists + (beyond - exists) / 2;
    (lua_getstack(L, middle, &info) ? exists : beyond) = middle;
  }
  return exists - level + 1;
}

}  // namespace

std::vector<Frame> collect_frames(lua_State* L, int level) {
  std::vector<Frame> frames;
  const int levels = count_levels(L, level);
  for (int i = 0; i < levels; ++i) {
    if (levels > kMostFrames && i == kMostFrames / 2) {
      const int skipped = levels - kMostFrames;
      frames.push_back({"... (skipping " + std::to_string(skipped) + " levels)", 0, ""});
      i += skipped;
    }
    lua_Debug info;
    if (!lua_getstack(L, level + i, &info) || !lua_getinfo(L, "Sln", &info)) break;
    const bool outermost_c = *info.what == 'C' && i + 1 == levels;  // the call that runs the chunk, ours
    if (!outermost_c)
      frames.push_back(
          {info.short_src, info.currentline > 0 ? info.currentline : 0, describe_function(info)});
  }
  return frames;
}

}  // namespace osthread
