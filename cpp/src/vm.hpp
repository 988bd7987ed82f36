// A Vm is one lua_State with its quota: made whole, and given back whole. It knows nothing of threads or
// values.
//
// Invariant: the state is touched only inside protected calls (in LuaJIT even pushing a C function may
// raise), so making and using it ends in a C++ exception, never in a panic.
//
// Thread safety: one thread at a time; which one may change between calls.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lua_headers.hpp"
#include "memory_quota.hpp"
#include "osthread/error.hpp"
#include "thread_budget.hpp"

namespace osthread {

// Which standard libraries a state gets. `jit` and the base functions are always opened; what is not named is
// taken away.
class Libraries {
 public:
  static Libraries all() { return Libraries(kAll); }
  static Libraries safe() { return Libraries(kSafe); }
  // std::invalid_argument names the ones there are.
  static Libraries named(const std::vector<std::string>& names);
  // {"all"}, {"safe"}, or names.
  static Libraries of(const std::vector<std::string>& names);

  bool is_all() const noexcept { return bits_ == kAll; }
  bool is_safe() const noexcept { return bits_ & kSafeBit; }
  bool has(std::uint32_t bit) const noexcept { return bits_ & bit; }
  // Whether a state that has these gives nothing that one with `others` does not.
  bool within(const Libraries& others) const noexcept {
    return (bits_ & kAll & ~others.bits_) == 0 && (is_safe() || !others.is_safe());
  }

  enum : std::uint32_t {
    kCoroutine = 1,
    kPackage = 2,
    kString = 4,
    kTable = 8,
    kMath = 16,
    kBit = 32,
    kIo = 64,
    kOs = 128,
    kDebug = 256,
    kJit = 512,
    kFfi = 1024,
    kSafeBit = 1 << 20,
    kAll = 2047,
    kSafe = kSafeBit | kCoroutine | kString | kTable | kMath | kBit,
  };

 private:
  explicit Libraries(std::uint32_t bits) : bits_(bits) {}
  std::uint32_t bits_;
};

class Vm {
 public:
  // Whether LUA_PATH and LUA_CPATH set package.path and package.cpath.
  enum class Environment { read, ignored };
  // Makes a state with all libraries and runs `setup`, each in a protected call. std::bad_alloc if memory is
  // short.
  Vm(Environment environment, std::initializer_list<lua_CFunction> setup);
  explicit Vm(std::initializer_list<lua_CFunction> setup) : Vm(Environment::ignored, setup) {}
  ~Vm();  // runs the finalizers that have not run, and gives back the memory
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  lua_State* state() const noexcept { return L_; }
  MemoryQuota& quota() noexcept { return quota_; }
  const MemoryQuota& quota() const noexcept { return quota_; }

  // The Vm of a state or coroutine.
  static Vm& of(lua_State* L) noexcept;

  // Whether an error is one of memory. LuaJIT's parser and coroutine.wrap hand it on as a plain string, so
  // that the status does not tell it there; and a message handler that had no memory hands on another one.
  bool is_memory_error(int status, std::string_view message) const noexcept;

  // Runs `body` with `context` as its light userdata argument, in a protected call: Lua errors become C++
  // exceptions (LuaMemoryError or LuaError).
  void protect(lua_CFunction body, const void* context);
  // Its two halves: the call, whose frames own nothing, and what comes of its status; `top` was the stack's
  // before.
  int call(lua_CFunction body, const void* context) noexcept;
  void check(int status, int top);

  // Takes away what `libraries` does not have.
  void restrict(Libraries libraries);
  void set_jit(bool on);
  // Bounds memory from here on. Garbage counts, as LuaJIT does not collect when an allocation fails: the
  // quota hurries the collector before that. `given_away`: as MemoryQuota::count_given_away() has it.
  void set_memory_limit(std::size_t bytes, std::shared_ptr<MemoryAccount> given_away = nullptr);

  // A full collection, with room beyond the limit for what it needs itself.
  void collect_all() noexcept;

  // Runs what is due at the end of a state, so that files are flushed; after it only the destructor may
  // follow.
  void run_finalizers() noexcept;

  // After the finalizers: gives up the objects of the host that it holds, before its memory goes.
  void give_back_handles() noexcept {
    if (ending() && !discarded() && drop_handles) drop_handles(*this);
  }

  // Gives the state back as it is, without running anything of it: memory, machine code, open files, the
  // handles that it holds. For a state that was left in the middle of something. Nothing may be done with it
  // afterwards.
  void discard() noexcept;
  // The same, but for a state that something beside Lua may still use: nothing of its memory is given back.
  void keep() noexcept;
  bool discarded() const noexcept { return L_ == nullptr; }
  // Whether what is due at its end runs, or has run.
  bool ending() const noexcept { return finalized_; }

  // What the layers above keep with the state; they know the types.
  const void* output = nullptr;                 // builtins: where print goes
  const void* options = nullptr;                // interpreter: the StateOptions it was made with
  std::shared_ptr<ThreadBudget> thread_budget;  // interpreter: null: no limit
  void* conversion = nullptr;          // lua_value, lua_call: what crosses just now; nests like the calls do
  bool safe = false;                   // its libraries are Libraries::safe()
  bool has_files = false;              // open_files: it has opened some
  std::vector<std::string> c_modules;  // builtins: the ones it has loaded, by name
  bool shared = false;                 // builtins: one of them has threads that use the state's memory
  std::uint32_t halves = 0;            // lua_module: which of its halves in Lua have run
  void* handles = nullptr;             // lua_object: the objects of the host that it holds
  // lua_object: what its handles keep, in bytes.
  struct Kept {
    std::size_t since = 0;      // of those made since it was last looked
    std::size_t survived = 0;   // a collection
    bool collected = false;     // since it was last looked
    bool anything_new = false;  // since whoever collects at rest set it to false
  } kept;
  void* lingering = nullptr;  // lua_object: those of them that nothing but a reference leads to
  void (*drop_handles)(Vm&) noexcept = nullptr;
  std::vector<Frame>* error_frames = nullptr;  // where the message handler puts the stack of an error

 private:
  MemoryQuota quota_;  // before the state, which allocates through it
  lua_State* L_;
  bool finalized_ = false;
};

}  // namespace osthread
