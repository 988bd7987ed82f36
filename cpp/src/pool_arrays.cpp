#include "pool_arrays.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "pool_core.hpp"

namespace osthread {
namespace {

// So that uneven slices balance; and few, as each call costs a fraction of a microsecond.
constexpr std::size_t kSlicesOfWorker = 16;

// Makes f(a1, ..., an, start, stop, ...) a function of start and stop; of none, when the arrays are to be
// given back: those that were new to the state, and so are of no other code of it.
// What C has no number of Lua's for is no pointer: its elements would be cdata, of which a sum is no number
// and no two are the same key, or bits.
// Of global names it needs none, as an earlier task may have replaced them.
constexpr const char* kBind = R"(local f, is_new, count, more = ...
local given, list = { ... }, {}
local without_pointer = { int64 = true, uint64 = true, float16 = true }
for i = 1, count + more do list[i] = given[4 + i] end
for i = 1, count do list[i] = not without_pointer[list[i].dtype] and list[i].data or list[i] end
return function(start, stop)
  if not start then
    list = nil
    for i = 5, 4 + count do
      -- Of structures: a pointer that is garbage refers to them, too, until it is collected.
      if given[i].data and given[i].dtype:find("[ {]") and collectgarbage then collectgarbage() break end
    end
    for i = 5, 4 + count do
      if is_new[i - 2] then given[i]:release() end
    end
    return
  end
  return f()";

std::string binder(std::size_t count, std::size_t more) {
  const auto list = [](std::size_t i) { return "list[" + std::to_string(i) + "]"; };
  std::string arguments;
  for (std::size_t i = 1; i <= count; ++i) arguments += list(i) + ", ";
  arguments += "start, stop";
  for (std::size_t i = 1; i <= more; ++i) arguments += ", " + list(count + i);
  return kBind + arguments + ") end";
}

void check(const SharedBuffer& array, const std::string& name, const SharedBuffer& first) {
  if (array.shape().empty()) throw std::invalid_argument("map_array: " + name + " has no axis to be cut");
  if (array.shape()[0] != first.shape()[0])
    throw std::invalid_argument("map_array: " + name + " has " + std::to_string(array.shape()[0]) +
                                " rows, the first array " + std::to_string(first.shape()[0]));
}

}  // namespace

PoolJob::Work work_over(PoolCore& core, const Code& code, const std::vector<SharedBuffer>& arrays,
                        MapArrayOptions options) {
  std::vector<SharedBuffer> all = arrays;
  if (options.out) all.push_back(*options.out);
  if (all.empty()) throw std::invalid_argument("map_array: there is no array");
  constexpr std::size_t kMost = 200;  // of what a call in Lua can have
  if (all.size() + options.args.size() > kMost)
    throw std::invalid_argument("map_array: more than " + std::to_string(kMost) +
                                " arrays and args; a list can be one of them");
  PoolJob::Work work{.function = core.function_of(code),
                     .maker = core.function_of(Code(binder(all.size(), options.args.size()), "=map_array")),
                     .make_of = {all.size(), options.args.size()}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    check(all[i], i == arrays.size() ? "out" : "array " + std::to_string(i + 1), all[0]);
    work.make_of.emplace_back(all[i]);
  }
  work.make_of.insert(work.make_of.end(), options.args.begin(), options.args.end());
  const std::size_t rows = all[0].shape()[0];
  const auto [first, last] = options.rows.value_or(std::pair(std::size_t{0}, rows));
  if (first > last || last > rows)
    throw std::invalid_argument("map_array: there are no rows " + std::to_string(first) + " to " +
                                std::to_string(last) + ", the arrays have " + std::to_string(rows));
  const std::size_t count = last - first;
  const std::size_t slices = kSlicesOfWorker * std::min(core.max_workers(), std::max<std::size_t>(count, 1));
  const std::size_t step =
      options.chunk != 0 ? options.chunk : std::max<std::size_t>(1, (count + slices - 1) / slices);
  for (std::size_t start = first; start < last;) {
    const std::size_t stop = start + std::min(step, last - start);
    work.arguments.emplace_back(start);
    work.arguments.emplace_back(stop);
    start = stop;
  }
  work.count = work.arguments.size() / 2;
  return work;
}

}  // namespace osthread
