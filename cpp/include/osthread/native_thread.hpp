#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "osthread/export.hpp"

namespace osthread {

// The clock of every deadline in this library: monotonic, so setting the time of day moves no deadline.
using Clock = std::chrono::steady_clock;

// What is honest on each system, and no more:
//   Linux    the thread's nice value becomes 5, 0 or -5. Lowering it, and that includes `normal` in a process
//            that was started with a nice value above 0, needs CAP_SYS_NICE or RLIMIT_NICE. With autogroups
//            (most desktops) the scheduler weighs it only against threads of the same session.
//   macOS    the quality-of-service class utility, default or user-initiated; never refused.
//   Windows  THREAD_PRIORITY_BELOW_NORMAL, _NORMAL or _ABOVE_NORMAL.
enum class Priority { low, normal, high };

// Every member has an initializer, so that {.suspended = true} draws no warning about the others.
struct NativeThreadOptions {
  std::string name{};          // as top -H and gdb show it; cut at a UTF-8 boundary to what the system takes
                               // (Linux 15 bytes, macOS 63, Windows 1024)
  bool suspended = false;      // created, but does not run its routine until start()
  std::size_t stack_size = 0;  // bytes, rounded up to whole pages; 0: the system's default
  std::optional<Priority> priority{};  // none: inherited from the creator
  std::vector<int> affinity{};         // the CPUs it may run on; empty: inherited. macOS refuses it (ENOTSUP)
};

// A smaller stack would not carry LuaJIT and a signal handler together.
inline constexpr std::size_t kMinimumStackSize = std::size_t{256} * 1024;

// The system made no thread: code() and what() have its reason ("can't start a new thread: Resource
// temporarily unavailable").
class OSTHREAD_EXPORT ThreadCreationError : public std::system_error {
 public:
  using std::system_error::system_error;
};

// A NativeThread owns one thread of the operating system, which runs one routine. It knows nothing of Lua.
//
// Thread safety: like std::thread's. ident(), native_id(), native_handle(), joinable() and start() may be
// called from any thread while nobody calls another non-const method; join(), join_until(), detach(),
// discard(), moving and destroying belong to the owner.
//
// Signals: the new thread starts with every signal blocked, whatever its creator blocked, but for those that
// its own instructions raise (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS) and SIGPROF, so that
// a profiler sees it. There is no moment at which it could take another; nor does the creator's mask ever let
// a signal through that it blocked.
//
// fork(): the child has none of its parent's threads. There, destroying or assigning to a NativeThread only
// drops it, and join(), join_until(), start(), discard() and detach() throw std::system_error
// (no_such_process).
//
//   int twice(void* number) { return 2 * *static_cast<int*>(number); }
//
//   osthread::NativeThread thread(twice, &number, {.name = "doubler"});
//   thread.join();                        // thread.exit_code() is 2 * number
class OSTHREAD_EXPORT NativeThread {
 public:
  struct Shared;  // what thread and owner share; private, for native_thread.cpp

  // Must not throw: an exception that leaves it ends the program (std::terminate), as with std::thread.
  using Routine = int (*)(void* parameter);

  NativeThread() noexcept;  // no thread

  // Returns when the thread exists, not when it has begun to run; with `priority` or `affinity`, when the
  // system has granted them. Throws
  //   std::invalid_argument  no routine, a stack below kMinimumStackSize, a negative CPU number
  //   ThreadCreationError    the system makes no thread: too many, or no room for this stack
  //   std::system_error      `priority` or `affinity` were refused (no permission, no such CPU)
  // and then has left no thread behind.
  NativeThread(Routine routine, void* parameter, const NativeThreadOptions& options = {});

  // A suspended thread is discarded, a running one is joined; on the very thread it owns it is detached,
  // since that one can't wait for itself. Assigning does the same to the thread that is replaced.
  ~NativeThread();
  NativeThread(NativeThread&& other) noexcept;
  NativeThread& operator=(NativeThread&& other) noexcept;
  NativeThread(const NativeThread&) = delete;
  NativeThread& operator=(const NativeThread&) = delete;

  // Lets a suspended thread run its routine. std::logic_error if it ran, or was discarded, already.
  void start();

  // Ends a suspended thread without running its routine, and joins it. std::logic_error if it is not
  // suspended.
  void discard();

  // Waits until the thread has ended; signal handlers do not cut this short. std::logic_error if there is no
  // thread to join, or if it is suspended (this would never return); std::system_error
  // (resource_deadlock_would_occur) on the thread itself.
  void join();

  // Waits no longer than `deadline`: whether the thread has ended, and so was joined. False is not an error:
  // it may be tried again, also while the thread is suspended. (A thread has ended once its routine has; what
  // its thread_local destructors then do is waited for beyond the deadline.)
  [[nodiscard]] bool join_until(Clock::time_point deadline);

  // Leaves the thread to itself; this object has no thread any more. std::logic_error if it is suspended.
  void detach();

  bool joinable() const noexcept;  // owns a thread that was not joined, discarded or detached

  // What the routine returned, or -1 if the thread left it by pthread_exit(). std::logic_error before join().
  int exit_code() const;

  // As Python's threading.get_ident() and get_native_id() give them in that thread. They stay after join(),
  // as they do there; the system may by then have given them to another thread. 0 without a thread.
  // native_id() is told by the new thread itself, and waits for that if need be.
  std::uintptr_t ident() const noexcept;
  std::uint64_t native_id() const noexcept;

  std::uintptr_t native_handle() const noexcept;  // pthread_t or HANDLE while joinable(), else 0

 private:
  void require_joinable(const char* operation) const;
  void require_not_itself(const char* operation) const;
  bool is_suspended() const noexcept;
  void join_now() noexcept;
  void let_go() noexcept;  // the destructor's policy

  // Invariant: handle_ != 0 exactly while joinable(), and shared_ is then set. After a join shared_ stays: it
  // has the exit code and the native id.
  std::shared_ptr<Shared> shared_;
  std::uintptr_t handle_ = 0;
  std::uintptr_t ident_ = 0;
};

// Of the calling thread.
OSTHREAD_EXPORT std::uintptr_t current_ident() noexcept;
OSTHREAD_EXPORT std::uint64_t current_native_id() noexcept;

}  // namespace osthread
