#include "luv.hpp"

namespace osthread::luv {

bool adopt(lua_State*, int) { return false; }

}  // namespace osthread::luv
