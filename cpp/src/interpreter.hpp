// An Interpreter is a Vm set up by options, with a chunk to run: what an OSThread and a LuaState have in
// common.
//
// Thread safety: one thread at a time; which one may change between calls.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "called_names.hpp"
#include "osthread/options.hpp"
#include "run.hpp"
#include "vm.hpp"

namespace osthread {

// How a run ended.
enum class Ending { finished, failed, stopped, killed };

struct Outcome {
  Ending ending = Ending::finished;
  Values results;
  std::exception_ptr error;         // what result() throws; null if finished
  std::vector<Frame> frames;        // of a host's exception, which has no place for them itself
  std::vector<std::string> leaked;  // the C modules of a state that was left for good
};

class Interpreter {
 public:
  // Of the state whose code has started this one's thread, if any. `budget`: what the threads that its code
  // starts count towards, beside its own; `given_away`: what it gives away does. Throws
  // std::invalid_argument (options, OSTHREAD_SIGNAL), LuaMemoryError, LuaSyntaxError (of a module).
  Interpreter(StateOptions options, std::string name, std::shared_ptr<ThreadBudget> budget = nullptr,
              std::shared_ptr<MemoryAccount> given_away = nullptr);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Compiles what the next run() runs. LuaSyntaxError, LuaMemoryError, std::invalid_argument (bytecode).
  void compile(const Code& code);
  // What compile() compiled: the chunk, or the function that its expression is.
  Value compiled();
  // What compile() compiled, kept to be run again and again: as a C function whose upvalues are `context` and
  // the function. The number to select it by, until it is dropped.
  int keep(lua_CFunction through, void* context);
  // The same with what one that is kept returns for another and `args`. LuaError.
  int keep(lua_CFunction through, void* context, int maker, int function, const Values& args);
  // Of each value whether it is an object that the state's code has no box of.
  Values are_new(const Values& values) const;
  void select(int kept) noexcept;
  void drop(int kept) noexcept;
  // Runs it. `stop` is open and bound to this thread. Throws only what means that nothing ran.
  Outcome run(std::span<const Value> args, Stop& stop);
  // The same with the function at a dotted global name, whatever was compiled. LuaError if there is none.
  Outcome run_global(std::string_view name, std::span<const Value> args, Stop& stop);

  // How it ended, for something else than Lua code that was stopped on its thread.
  Outcome stopped(const Stop& stop) const;

  // Around a LuaState's calls: collects garbage if the memory limit was met or is near, so that the next call
  // has room. Whether the state has come to its end there (take_left() below tells how).
  bool relieve(Stop& stop) {
    const bool killed = stop.leave() == Leave::killed;  // with the last instruction, as it were
    return (killed || vm_->quota().is_short()) && collect(stop);
  }

  // A whole collection. Whether a finalizer had to be left, and the state with it.
  bool collect(Stop& stop);

  // The end: runs the finalizers, so that files are flushed. Whether they had to be left. Only the destructor
  // may follow.
  bool finalize(Stop& stop);

  // What is done with the state from here on can be stopped by this; null: no more.
  void set_stop(Stop* stop) noexcept { stop_ = stop; }

  // Whether a run has been left for good: then there is no state any more. How, if it was none of run()'s.
  bool left() const noexcept { return vm_->discarded(); }
  const char* left_because() const noexcept { return left_because_; }  // ": kill() ended it"
  std::optional<Outcome> take_left() noexcept { return std::exchange(left_, std::nullopt); }

  Value global(const std::string& name);
  void set_global(const std::string& name, const Value& value);
  // The objects of the host that the state and `held` hold, and nobody else. The state must be at rest.
  std::vector<Object*> objects(const Values& held) const;
  Vm& vm() noexcept { return *vm_; }

 private:
  std::exception_ptr error_of(int status, Run& run, Outcome& outcome);
  struct Cause {
    StopReason why = StopReason::interrupt;
    StopStage stage = StopStage::interrupt;
    std::chrono::nanoseconds limit{0};  // of a deadline
  };
  void protect(lua_CFunction body, const void* context);
  Outcome run_pushed(std::span<const Value> args, Stop& stop);
  bool run_at_rest(Stop& stop, void (*body)(void* vm));
  Outcome leave(const Run& run);
  int line_of_error(const std::string& source);
  static Cause cause_of(const Run& run);
  std::exception_ptr stopped_error(const Cause& cause, std::vector<Frame> frames) const;
  std::exception_ptr killed_error() const;

  StateOptions options_;
  const std::string name_;
  std::unique_ptr<Vm> vm_;
  bool expression_ = false;
  CalledNames called_;
  Stop* stop_ = nullptr;
  std::optional<Outcome> left_;
  const char* left_because_ = "";
};

}  // namespace osthread
