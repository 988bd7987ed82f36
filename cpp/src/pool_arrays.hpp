// A kernel over whole arrays, as a pool's job: slices of the first axis are its items.
#pragma once

#include <vector>

#include "osthread/lua_pool.hpp"
#include "pool_job.hpp"

namespace osthread {

class PoolCore;

// As LuaPool::map_array has it. std::invalid_argument, LuaSyntaxError.
PoolJob::Work work_over(PoolCore& core, const Code& code, const std::vector<SharedBuffer>& arrays,
                        MapArrayOptions options);

}  // namespace osthread
