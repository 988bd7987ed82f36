#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <unordered_map>

#include "library_names.hpp"
#include "lua_cdata.hpp"
#include "lua_object.hpp"
#include "lua_reader.hpp"
#include "lua_value.hpp"
#include "registry_slots.hpp"
#include "run.hpp"
#include "table_numbers.h"

namespace osthread {
namespace {

struct ReleaseGraph {
  void operator()(Graph* graph) const noexcept { graph->release(); }
};

}  // namespace

std::string place_step(const Value& key) {
  if (key.type() == Value::Type::number) {
    char text[32];
    std::snprintf(text, sizeof text, "[%.14g]", key.number());
    return text;
  }
  if (key.type() == Value::Type::string) {
    const std::string name(key.bytes());
    const bool plain =
        !name.empty() &&
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") ==
            std::string::npos;
    return plain ? "." + name : "[\"" + name + "\"]";
  }
  if (key.type() == Value::Type::boolean) return key.boolean() ? "[true]" : "[false]";
  return std::string("[") + key.type_name() + "]";
}

namespace {

// A string is copied for each place that refers to it, so a small state could fill the host's memory: what
// crosses at once may hold as many bytes as the state itself.
void take_bytes(Vm& vm, std::size_t& taken, std::size_t size) {
  taken += size;
  const std::size_t limit = vm.quota().limit();
  if (limit == 0 || taken <= limit) return;
  throw LuaMemoryError(
      {.message = "not enough memory: the strings that cross at once are larger than the limit",
       .frames = {},
       .value = nullptr,
       .thread = {}});
}

// About what a string, or an entry of a list, costs beside its bytes.
constexpr std::size_t kStringCost = 64;
constexpr std::size_t kNodeCost = 128;

Value make_string(Vm& vm, std::string_view bytes, std::size_t& taken, const Place& place) {
  if (place.given_away) return given_away(vm, bytes);
  take_bytes(vm, taken, bytes.size());
  return Value(bytes);
}

// Reads values breadth first, so that depth costs no stack: of Lua's it takes a few slots, of C's nothing.
// Tables and functions met are anchored in a Lua table until their turn, so that they can be pushed again.
//
// The collector rests meanwhile: a finalizer could change the table that is being walked.
class Reader {
 public:
  Reader(Vm& vm, Place place) : vm_(vm), place_(place) {}

  Values read(lua_State* L, int first, int count) {
    values_.reserve(static_cast<std::size_t>(count));
    const Run::Quiet quiet;  // no stop in the middle: the helpers for cdata are Lua code
    void* const outer = vm_.conversion;
    vm_.conversion = this;
    const bool collecting = lua_gc(L, LUA_GCISRUNNING, 0);
    if (collecting) lua_gc(L, LUA_GCSTOP, 0);
    const int top = lua_gettop(L);
    int status = LUA_ERRMEM;
    const bool too_many = top + count + 1 > LUAI_MAXCSTACK;
    if (!too_many && lua_checkstack(L, count + 1)) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kRead);
      for (int i = 0; i < count; ++i) lua_pushvalue(L, first + i);
      status = lua_pcall(L, count, 0, 0);
    }
    if (collecting) lua_gc(L, LUA_GCRESTART, 0);
    vm_.conversion = outer;
    if (too_many)
      throw ConversionError(place_.name, std::to_string(count) +
                                             " values are too many to cross at once; put them into a table");
    if (status != 0) {
      ErrorDetails details;
      details.message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "not enough memory";
      lua_settop(L, top);
      if (vm_.is_memory_error(status, details.message)) throw LuaMemoryError(std::move(details));
      throw LuaError(std::move(details));
    }
    lua_settop(L, top);
    if (failure_) std::rethrow_exception(failure_);
    return std::move(values_);
  }

  // The body of kRead: the values are its arguments.
  static int body(lua_State* L) {
    auto* reader = static_cast<Reader*>(Vm::of(L).conversion);
    try {
      reader->read_all(L);
    } catch (const std::exception&) {
      reader->failure_ = std::current_exception();
    }
    return 0;
  }

 private:
  struct Node {
    TableData* table;        // or
    FunctionData* function;  // this
    std::size_t parent;      // kRoot: of the list of values
    Value key;
  };
  static constexpr std::size_t kRoot = static_cast<std::size_t>(-1);

  void read_all(lua_State* L) {
    const int count = lua_gettop(L);
    luaL_checkstack(L, 12, "no room to read values");
    lua_newtable(L);
    work_ = count + 1;
    for (int i = 1; i <= count; ++i) {
      const Value key(i);
      values_.push_back(outer(read_one(L, i, kRoot, key)));
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      lua_rawgeti(L, work_, static_cast<int>(i + 1));
      if (nodes_[i].table)
        read_table(L, i);
      else
        read_function(L, i);
      lua_settop(L, work_);
    }
    if (place_.given_away && graph_) charge();
  }

  // For what it holds beside strings, which have charges of their own.
  void charge() {
    std::size_t bytes = 0;
    for (const Node& node : nodes_) {
      bytes += kNodeCost;
      if (node.table)
        bytes += node.table->numbers.capacity() * sizeof(double) +
                 node.table->array.capacity() * sizeof(Value) +
                 node.table->fields.capacity() * sizeof(std::pair<Value, Value>);
      else
        bytes += node.function->bytecode.capacity() + node.function->upvalues.capacity() * sizeof(Value);
    }
    graph_->charge(vm_.quota().charge(bytes));
  }

  static Value outer(Value inner) {
    return Value(static_cast<const Value&>(inner));  // a copy keeps its graph alive
  }

  void read_table(lua_State* L, std::size_t at) {
    TableData& table = *nodes_[at].table;
    const int index = lua_gettop(L);
    if (lua_getmetatable(L, index)) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kArray);
      lua_rawgeti(L, LUA_REGISTRYINDEX, slot::kMap);
      table.mark = lua_rawequal(L, -3, -2)   ? TableMark::array
                   : lua_rawequal(L, -3, -1) ? TableMark::map
                                             : TableMark::none;
      lua_settop(L, index);
    }
    const std::size_t length = lua_objlen(L, index);
    if (read_numbers(L, table.numbers, length))
      lua_pushnumber(L, static_cast<lua_Number>(table.numbers.size()));  // lua_next goes on from there
    else
      lua_pushnil(L);
    table.array.reserve(length - std::min(length, table.numbers.size()));
    while (lua_next(L, index)) {
      const auto next = static_cast<lua_Number>(table.length() + 1);
      if (lua_type(L, index + 1) == LUA_TNUMBER && lua_tonumber(L, index + 1) == next) {
        table.array.push_back(read_one(L, index + 2, at, Value(next)));
      } else {
        Value key = read_key(L, index + 1, at);
        Value field = read_one(L, index + 2, at, key);
        table.fields.emplace_back(std::move(key), std::move(field));
      }
      lua_settop(L, index + 1);
    }
    gather_array(table);
  }

  // The numbers that the table on top begins with, which most big tables are. Whether there were any.
  static bool read_numbers(lua_State* L, std::vector<double>& numbers, std::size_t length) {
    std::array<double, 256> some;
    for (std::size_t count = some.size(); count == some.size();) {
      count = osthread_read_numbers(L, numbers.size() + 1, some.data(), some.size());
      if (count == some.size() && numbers.empty()) numbers.reserve(length);
      numbers.insert(numbers.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
    }
    if (numbers.size() < length / 2) numbers.shrink_to_fit();
    return !numbers.empty();
  }

  // Elements that Lua kept in the hash part came in any order: those that continue 1..n belong to the array.
  static void gather_array(TableData& table) {
    std::unordered_map<std::size_t, std::size_t> stray;
    for (std::size_t i = 0; i < table.fields.size(); ++i) {
      const Value& key = table.fields[i].first;
      if (key.type() == Value::Type::number && key.number() > 0 && key.number() <= 0x1p53 &&
          std::trunc(key.number()) == key.number())
        stray.emplace(static_cast<std::size_t>(key.number()), i);
    }
    bool moved = false;
    for (auto at = stray.find(table.length() + 1); at != stray.end(); at = stray.find(table.length() + 1)) {
      auto& field = table.fields[at->second];
      table.array.push_back(std::move(field.second));
      field.first = Value();
      moved = true;
    }
    if (moved) std::erase_if(table.fields, [](const auto& field) { return field.first.is_nil(); });
  }

  void read_function(lua_State* L, std::size_t at) {
    FunctionData& function = *nodes_[at].function;
    const int index = lua_gettop(L);
    lua_Debug info;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &info);
    function.name = std::string(info.short_src) + ":" + std::to_string(info.linedefined);
    function.safe = vm_.safe;
    const int dumped = lua_dump(L, append, &function.bytecode);
    if (dumped == LUA_ERRMEM) luaL_error(L, "not enough memory");
    if (dumped == kNoRoom) throw std::bad_alloc();
    if (dumped != 0) refuse(path(at), "this function can't be dumped");
    for (int i = 1;; ++i) {
      const char* name = lua_getupvalue(L, index, i);
      if (!name) break;
      const Value label = Value(std::string("upvalue ") + (*name ? name : "?"));
      if (push_library_name(L, index + 1)) {
        std::size_t length = 0;
        const char* dotted = lua_tolstring(L, -1, &length);
        function.upvalues.push_back(Value::library(std::string(dotted, length)));
      } else {
        // A nil here is a nil, not the null that it is inside a table.
        function.upvalues.push_back(read_one(L, index + 1, at, label));
      }
      lua_settop(L, index);
    }
  }

  static constexpr int kNoRoom = -1;

  static int append(lua_State*, const void* bytes, std::size_t size, void* bytecode) {
    try {
      static_cast<std::string*>(bytecode)->append(static_cast<const char*>(bytes), size);
      return 0;
    } catch (const std::exception&) {
      return kNoRoom;
    }
  }

  Value read_key(lua_State* L, int index, std::size_t parent) {
    const int type = lua_type(L, index);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
      refuse(path(parent), std::string("a ") + lua_typename(L, type) + " can't be a key outside its state");
    return read_one(L, index, parent, Value("a key"));
  }

  Value read_one(lua_State* L, int index, std::size_t parent, const Value& key) {
    switch (const int type = lua_type(L, index)) {
      case LUA_TNIL:
        return {};
      case LUA_TBOOLEAN:
        return Value(lua_toboolean(L, index) != 0);
      case LUA_TNUMBER:
        return Value(lua_tonumber(L, index));
      case LUA_TSTRING: {
        std::size_t length = 0;
        const char* bytes = lua_tolstring(L, index, &length);
        return make_string(vm_, std::string_view(bytes, length), taken_, place_);
      }
      case LUA_TTABLE:
        return read_node(L, index, parent, key, true);
      case LUA_TFUNCTION:
        if (Object* object = object_at(L, index)) return share(object);
        if (!lua_iscfunction(L, index)) return read_node(L, index, parent, key, false);
        if (push_library_name(L, index)) {
          std::size_t length = 0;
          const char* dotted = lua_tolstring(L, -1, &length);
          Value value = Value::library(std::string(dotted, length));
          lua_pop(L, 1);
          return value;
        }
        refuse(path(parent, key), "a C function that is not of the standard libraries can't cross threads");
      case LUA_TUSERDATA:
        if (Object* object = object_at(L, index)) return share(object);
        refuse(path(parent, key), "a userdata can't cross threads");
      case LUA_TTHREAD:
        refuse(path(parent, key), "a coroutine can't cross threads");
      case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index)) return {};
        refuse(path(parent, key), "a light userdata can't cross threads");
      default:
        if (type == kCdataType) {
          if (Object* object = object_at(L, index)) return share(object);
          return read_cdata(L, index, parent, key);
        }
        refuse(path(parent, key), std::string("a ") + lua_typename(L, type) + " can't cross threads");
    }
  }

  Value read_cdata(lua_State* L, int index, std::size_t parent, const Value& key) {
    switch (cdata::classify(L, index)) {
      case cdata::Kind::int64:
        return exact_int64(cdata::read_int64(L, index));
      case cdata::Kind::uint64:
        return Value(cdata::read_uint64(L, index));
      case cdata::Kind::null:
        return {};
      case cdata::Kind::other:
        break;
    }
    cdata::push_type_name(L, index);
    const std::string name = lua_tostring(L, -1);
    lua_pop(L, 1);
    refuse(path(parent, key), "a cdata of " + name + " can't cross threads");
  }

  static Value exact_int64(std::int64_t integer) { return Value(integer); }

  Value read_node(lua_State* L, int index, std::size_t parent, const Value& key, bool is_table) {
    const auto [at, fresh] = seen_.try_emplace(lua_topointer(L, index), nodes_.size());
    if (fresh) {
      if (!graph_) graph_.reset(new Graph);
      Node node{nullptr, nullptr, parent, key};
      if (is_table)
        node.table = &graph_->add_table();
      else
        node.function = &graph_->add_function();
      nodes_.push_back(std::move(node));
      lua_pushvalue(L, index);
      lua_rawseti(L, work_, static_cast<int>(nodes_.size()));
    }
    const Node& node = nodes_[at->second];
    return node.table ? Graph::inner(*node.table) : Graph::inner(*node.function);
  }

  static Value share(Object* object) {
    object->retain();
    return Value::adopt(object);
  }

  std::string path(std::size_t node) const { return path(nodes_[node].parent, nodes_[node].key); }

  std::string path(std::size_t parent, const Value& key) const {
    std::vector<const Value*> steps{&key};
    for (std::size_t at = parent; at != kRoot; at = nodes_[at].parent) steps.push_back(&nodes_[at].key);
    std::string text = place_.name;
    if (!place_.indexed) steps.pop_back();
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) text += place_step(**step);
    return text;
  }

  [[noreturn]] static void refuse(const std::string& path, const std::string& reason) {
    throw ConversionError(path, reason);
  }

  Vm& vm_;
  std::size_t taken_ = 0;
  const Place place_;
  Values values_;
  int work_ = 0;
  std::unique_ptr<Graph, ReleaseGraph> graph_;
  std::vector<Node> nodes_;
  std::unordered_map<const void*, std::size_t> seen_;
  std::exception_ptr failure_;
};

// What needs no protected call: nothing in it allocates in the state.
bool read_plain(lua_State* L, int index, Value& value, std::size_t& taken, const Place& place) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return true;
    case LUA_TBOOLEAN:
      value = Value(lua_toboolean(L, index) != 0);
      return true;
    case LUA_TNUMBER:
      value = Value(lua_tonumber(L, index));
      return true;
    case LUA_TSTRING: {
      std::size_t length = 0;
      const char* bytes = lua_tolstring(L, index, &length);
      value = make_string(Vm::of(L), std::string_view(bytes, length), taken, place);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

Value given_away(Vm& vm, std::string_view bytes) {
  if (!vm.safe) return Value(bytes);
  return Value::charged(bytes, vm.quota().charge(bytes.size() + kStringCost));
}

int read_body(lua_State* L) { return Reader::body(L); }

Values read_values(lua_State* L, int first, int count, Place place) {
  Values values(static_cast<std::size_t>(count));
  std::size_t taken = 0;
  for (int i = 0; i < count; ++i)
    if (!read_plain(L, first + i, values[static_cast<std::size_t>(i)], taken, place))
      return Reader(Vm::of(L), place)
          .read(L, first, count);  // all of them, so that shared tables stay shared
  return values;
}

}  // namespace osthread
