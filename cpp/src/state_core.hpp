// What a LuaState and a pool's worker run their code in: one state whose calls each run to their end, in the
// thread that calls, under the limits of its options.
//
// Invariant: whoever has a Turn is the only one that touches the interpreter. A thread may take several: a
// function of the host that the state calls may look at its globals; running code in it from there is
// refused, as it is in the middle of a call.
//
// In a fork's child the state is whole if nobody had a Turn at the fork. Its locks may be held all the same,
// by a thread that was about to take one, or by the watchdog: then they are made anew.
//
// Thread safety: as of LuaState.
#pragma once

#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "interpreter.hpp"
#include "osthread/lua_state.hpp"
#include "turn_lock.hpp"

namespace osthread {

class StateCore {
 public:
  explicit StateCore(StateOptions options);
  ~StateCore();
  StateCore(const StateCore&) = delete;
  StateCore& operator=(const StateCore&) = delete;

  // A run of the interpreter's: what is to be done, as a function object that is there until it is done.
  class Body {
   public:
    template <std::invocable<Interpreter&, Stop&> F>
    Body(const F& body) noexcept
        : body_(&body), call_([](const void* f, Interpreter& interpreter, Stop& stop) -> Outcome {
            return (*static_cast<const F*>(f))(interpreter, stop);
          }) {}
    Outcome operator()(Interpreter& interpreter, Stop& stop) const { return call_(body_, interpreter, stop); }

   private:
    const void* body_;
    Outcome (*call_)(const void* f, Interpreter& interpreter, Stop& stop);
  };
  // What the run returns, or what it throws. `looked_after`: the host looks after it if it lasts
  // (Stop::set_look()).
  Values run(const Body& body, bool looked_after = false);
  // Something short with the state: a collection may run finalizers meanwhile.
  Value with(const std::function<Value(Interpreter& interpreter)>& body);

  // A whole collection if the state has been given anything of the host's since this was last done, or if
  // something lingers (lua_object.hpp); another if something does then. What ended a finalizer that had to be
  // left.
  void collect_garbage();

  void set_time_limit(std::optional<std::chrono::nanoseconds> limit);
  std::optional<std::chrono::nanoseconds> time_limit() const noexcept;
  bool interrupt() noexcept;
  bool kill() noexcept;
  // When a call that was interrupted would have ended by itself, as of now.
  Clock::time_point answered_by() noexcept;
  StateStatistics statistics();
  std::vector<Frame> error_frames();
  std::vector<Object*> objects() const;
  void close();
  bool closed();

 private:
  struct Renewal;
  struct Locks;
  class Turn;
  class Running;
  static constexpr std::chrono::nanoseconds kNoLimit{-1};

  Locks& locks();
  bool left_in_use() const noexcept { return turns_ != 0 && taken_in_ != generation_; }
  Outcome run_once(const Body& body, bool looked_after);
  Outcome attempt(const Body& body, Stop& stop, std::exception_ptr& refused);
  std::optional<Outcome> after(Stop& stop);
  void set_frames(std::vector<Frame> frames) noexcept;
  void note_left() noexcept;
  std::exception_ptr finalize();

  std::atomic<std::uint32_t> generation_;
  std::uint32_t taken_in_ = 0;  // the generation of the turns
  int turns_ = 0;
  std::atomic<std::chrono::nanoseconds> time_limit_;  // kNoLimit: none
  bool running_ = false;
  bool has_frames_ = false;          // of the turns: whether last_frames_ has any
  const char* closed_because_ = "";  // of the turns
  std::unique_ptr<Locks> locks_;
  std::unique_ptr<Interpreter> interpreter_;
  std::vector<Frame> last_frames_;
};

}  // namespace osthread
