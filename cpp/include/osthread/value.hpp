// A Value is what crosses between Lua states, and between Lua and its host: nil, a boolean, a number, a
// 64-bit integer, bytes, a table (shared references and cycles inside it are kept), a Lua function (bytecode
// and its upvalues), or a handle to an object that both sides share (a host function).
//
// Thread safety: a Value is immutable; copies share what they hold, and may be used and dropped on any
// thread.
//
//   Value point = Value::map({{"x", 1.5}, {"tags", Value::array({"a", "b"})}});
//   double x = point.get("x").as<double>();
//   Value twice = function([](double v) { return 2 * v; });     // callable from Lua
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "osthread/error.hpp"
#include "osthread/export.hpp"

namespace osthread {

class Value;
using Values = std::vector<Value>;

// Whatever several Values may hold at once: counted by hand, as one word has to name it inside a Lua userdata
// too.
class OSTHREAD_EXPORT Counted {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  void retain() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept;
  std::uint32_t count() const noexcept {
    return static_cast<std::uint32_t>(count_.load(std::memory_order_relaxed));
  }

 protected:
  virtual ~Counted();

 private:
  // How many hold it; once nobody does, it may say which is deleted after it.
  mutable std::atomic<std::uint64_t> count_{1};
};

// How a place inside a table is written in error messages, as Lua would: `.name`, `[3]`, `["a b"]`.
OSTHREAD_EXPORT std::string place_step(const Value& key);

// An object that crosses as a handle, not as a copy.
class OSTHREAD_EXPORT Object : public Counted {
 public:
  // As Lua's tostring shows it: "OSThread: ...".
  virtual std::string describe() const = 0;
  // The class that its handles have in Lua, if the module osthread has one for it; else null, and they are
  // userdata.
  virtual const char* lua_class() const noexcept;
  // What Lua reads as `handle.name`; nil if there is no such field.
  virtual Value get(std::string_view name) const;
  // How many bytes go with the last handle, as far as that is known: Lua's collector does not see them, and
  // is called when garbage may hold many.
  virtual std::size_t keeps() const noexcept;
  // Whether `other` is a handle of the same thing; Lua's `==`.
  virtual bool same(const Object& other) const noexcept;

 protected:
  ~Object() override;
};

// A function of the host that Lua can call, on its own thread and maybe on several at once.
class OSTHREAD_EXPORT HostFunction : public Object {
 public:
  // What it throws becomes a Lua error; nobody catching it, it comes out of result() as it was.
  virtual Values call(Values args) = 0;
  std::string describe() const override;
  std::size_t keeps() const noexcept override;  // a guess: nobody knows what a closure holds

 protected:
  ~HostFunction() override;
};

struct TableData;
struct FunctionData;
class MemoryCharge;

namespace detail {

template <class T>
concept PointerToNoText =
    !std::convertible_to<T, const char*> && (std::is_pointer_v<T> || std::is_member_pointer_v<T>);

}  // namespace detail

class OSTHREAD_EXPORT Value {
 public:
  enum class Type : std::uint8_t {
    nil,
    boolean,
    number,
    int64,
    uint64,
    string,  // from here on the payload is counted
    table,
    function,
    library,
    object
  };

  Value() noexcept {}
  Value(std::nullptr_t) noexcept {}
  Value(bool b) noexcept : type_(Type::boolean) { payload_.boolean = b; }
  template <std::floating_point T>
  Value(T number) noexcept : type_(Type::number) {
    payload_.number = static_cast<double>(number);
  }
  // Within 2^53 a Lua number, beyond it a 64-bit integer.
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T integer)
  noexcept {
    if constexpr (std::is_signed_v<T>)
      set_integer(static_cast<std::int64_t>(integer));
    else
      set_unsigned(static_cast<std::uint64_t>(integer));
  }
  Value(const std::string& bytes);
  Value(std::string_view bytes);
  Value(const char* text) : Value(std::string_view(text)) {}
  template <detail::PointerToNoText T>
  Value(T pointer) = delete;  // it would be the boolean true
  // For the library: its memory counts as somebody's for as long as it is there.
  static Value charged(std::string_view bytes, MemoryCharge charge);
  // Takes over one count of `object`.
  static Value adopt(Object* object) noexcept;
  // Whatever says how it is one: Channel, ...
  template <class T>
  requires requires(const T& t) {
    { t.to_value() } -> std::same_as<Value>;
  }
  Value(const T& handle) : Value(handle.to_value()) {}

  // A function or table of the standard libraries, by its dotted name ("math.floor"): each state has its own.
  static Value library(std::string_view dotted_name);

  // Tables. Values put in are copied by value: what they hold is shared, never changed.
  static Value array(const Values& elements);
  static Value map(const std::vector<std::pair<Value, Value>>& fields);

  // Inline, as nearly all values that come and go are numbers.
  Value(const Value& other) noexcept : payload_(other.payload_), type_(other.type_) {
    if (is_shared()) retain();
  }
  Value(Value&& other) noexcept : payload_(other.payload_), type_(other.type_), inner_(other.inner_) {
    other.type_ = Type::nil;
    other.inner_ = false;
  }
  Value& operator=(Value other) noexcept {
    std::swap(payload_, other.payload_);
    std::swap(type_, other.type_);
    std::swap(inner_, other.inner_);
    return *this;
  }
  ~Value() {
    if (is_shared()) release();
  }

  Type type() const noexcept { return type_; }
  bool is_nil() const noexcept { return type_ == Type::nil; }

  bool boolean() const noexcept { return payload_.boolean; }         // Type::boolean
  double number() const noexcept { return payload_.number; }         // Type::number
  std::int64_t int64() const noexcept { return payload_.int64; }     // Type::int64
  std::uint64_t uint64() const noexcept { return payload_.uint64; }  // Type::uint64
  std::string_view bytes() const noexcept;        // Type::string, Type::library (its dotted name)
  const TableData& table() const noexcept;        // Type::table
  const FunctionData& function() const noexcept;  // Type::function
  Object* object() const noexcept;                // Type::object; the count stays here

  // Of a table: elements 1..n, all other fields, and one field by name (nil if it has none).
  const Values& elements() const;
  const std::vector<std::pair<Value, Value>>& fields() const;
  Value get(std::string_view key) const;

  // bool, any arithmetic type (exactly, or ConversionError), std::string, Values (of an array), Value,
  // Channel.
  template <class T>
  T as() const;

  // "a number", "a table", ... for error messages.
  const char* type_name() const noexcept;

 private:
  friend class Graph;
  friend class Ring;  // of a channel: it keeps the two words of a value apart
  template <class T>
  static constexpr bool always_false = false;

  bool is_shared() const noexcept { return type_ >= Type::string; }
  void retain() const noexcept;
  void release() const noexcept;
  static constexpr std::int64_t kExact = std::int64_t{1} << 53;  // every integer up to here is a double
  void set_integer(std::int64_t integer) noexcept {
    if (integer >= -kExact && integer <= kExact) {
      type_ = Type::number;
      payload_.number = static_cast<double>(integer);
    } else {
      type_ = Type::int64;
      payload_.int64 = integer;
    }
  }
  void set_unsigned(std::uint64_t integer) noexcept;
  double to_number(const char* wanted) const;
  std::int64_t to_int64() const;
  std::uint64_t to_uint64() const;
  [[noreturn]] void refuse(const char* wanted) const;

  union Payload {
    bool boolean;
    double number;
    std::int64_t int64;
    std::uint64_t uint64;
    Counted* counted;
    TableData* table;
    FunctionData* function;
  };
  Payload payload_{};
  Type type_ = Type::nil;
  bool inner_ =
      false;  // a node seen from inside its own graph, which it does not keep alive: else cycles would leak
};

// A Value's nodes belong to one Graph that lives as long as a Value outside it names one of them.
class OSTHREAD_EXPORT Graph : public Counted {
 public:
  Graph();
  TableData& add_table();
  FunctionData& add_function();
  void charge(MemoryCharge charge) noexcept;  // as Value::charged
  static Value inner(TableData& node) noexcept;
  static Value inner(FunctionData& node) noexcept;
  // A Value that keeps the graph alive.
  static Value outer(TableData& node) noexcept;
  static Value outer(FunctionData& node) noexcept;

 private:
  friend class Value;
  ~Graph() override;
  struct Nodes;
  Nodes* nodes_;
};

enum class TableMark : std::uint8_t { none, array, map };  // osthread.array, osthread.map

// Big tables are lists of numbers, mostly, which take half of the memory so.
struct TableData {
  TableData(Graph* of, std::size_t at) noexcept : graph(of), index(at) {}
  TableData(const TableData&) = delete;
  TableData& operator=(const TableData&) = delete;
  ~TableData() { delete elements.load(std::memory_order_relaxed); }

  std::size_t length() const noexcept { return numbers.size() + array.size(); }

  Graph* graph;
  std::size_t index;  // of the node in its graph
  TableMark mark = TableMark::none;
  std::vector<double> numbers;                           // keys 1..n: the list begins with these numbers
  Values array;                                          // keys n+1..m, numbers or not
  std::vector<std::pair<Value, Value>> fields;           // all others
  mutable std::atomic<const Values*> elements{nullptr};  // of Value::elements(), if there are numbers
};

struct FunctionData {
  Graph* graph;
  std::size_t index;
  std::string bytecode;
  std::string name;  // its chunk and line, for people
  Values upvalues;
  bool safe = false;  // it comes out of a state with the libraries "safe"; its host should not give it more
};

template <class T>
T Value::as() const {
  if constexpr (std::same_as<T, Value>) {
    return *this;
  } else if constexpr (std::same_as<T, bool>) {
    if (type_ != Type::boolean) refuse("a boolean");
    return payload_.boolean;
  } else if constexpr (std::floating_point<T>) {
    return static_cast<T>(to_number("a number"));
  } else if constexpr (std::signed_integral<T>) {
    const std::int64_t integer = to_int64();
    if (!std::in_range<T>(integer)) refuse("an integer that fits");
    return static_cast<T>(integer);
  } else if constexpr (std::unsigned_integral<T>) {
    const std::uint64_t integer = to_uint64();
    if (!std::in_range<T>(integer)) refuse("an integer that fits");
    return static_cast<T>(integer);
  } else if constexpr (std::same_as<T, std::string>) {
    if (type_ != Type::string) refuse("a string");
    return std::string(bytes());
  } else if constexpr (std::same_as<T, Values>) {
    return elements();
  } else if constexpr (requires(const Value& value) {
                         { T::from_value(value) } -> std::same_as<T>;
                       }) {
    return T::from_value(*this);
  } else {
    static_assert(always_false<T>, "as<T>: bool, arithmetic types, std::string, Values, Value or a handle");
  }
}

namespace detail {

template <class T>
struct Signature : Signature<decltype(&T::operator())> {};
template <class R, bool is_noexcept, class... A>
struct Signature<R (*)(A...) noexcept(is_noexcept)> {
  using Result = R;
  using Arguments = std::tuple<std::decay_t<A>...>;
};
template <class C, class R, bool is_noexcept, class... A>
struct Signature<R (C::*)(A...) noexcept(is_noexcept)> : Signature<R (*)(A...)> {};
template <class C, class R, bool is_noexcept, class... A>
struct Signature<R (C::*)(A...) const noexcept(is_noexcept)> : Signature<R (*)(A...)> {};

template <class F>
class CallableFunction final : public HostFunction {
 public:
  explicit CallableFunction(F callable) : callable_(std::move(callable)) {}
  Values call(Values args) override {
    using Arguments = typename Signature<F>::Arguments;
    if constexpr (std::same_as<Arguments, std::tuple<Values>>) {
      return result(std::move(args));
    } else {
      args.resize(std::tuple_size_v<Arguments>);
      return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return result(args[I].template as<std::tuple_element_t<I, Arguments>>()...);
      }
      (std::make_index_sequence<std::tuple_size_v<Arguments>>{});
    }
  }

 private:
  template <class... A>
  Values result(A&&... arguments) {
    using Result = typename Signature<F>::Result;
    if constexpr (std::is_void_v<Result>) {
      callable_(std::forward<A>(arguments)...);
      return {};
    } else if constexpr (std::same_as<Result, Values>) {
      return callable_(std::forward<A>(arguments)...);
    } else {
      return {Value(callable_(std::forward<A>(arguments)...))};
    }
  }

  F callable_;
};

}  // namespace detail

// C++ that Lua can call, on Lua's thread: arguments are converted as as<T>() does it, missing ones are nil, a
// function of `Values` gets all of them; a returned Values is several results. What it throws becomes a Lua
// error.
template <class F>
Value function(F callable) {
  return Value::adopt(new detail::CallableFunction<F>(std::move(callable)));
}

}  // namespace osthread
