#include "commands.hpp"

#include <windows.h>

#include <fcntl.h>
#include <io.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "fork.hpp"
#include "run.hpp"

namespace osthread::commands {
namespace {

// What a command ends with that is ended: as if by Ctrl-C.
constexpr UINT kEnded = 0xC000013A;

class Handle {
 public:
  explicit Handle(HANDLE handle = nullptr) noexcept : handle_(handle) {}
  ~Handle() {
    if (handle_) ::CloseHandle(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  HANDLE get() const noexcept { return handle_; }
  void reset(HANDLE handle) noexcept {
    if (handle_) ::CloseHandle(handle_);
    handle_ = handle;
  }

 private:
  HANDLE handle_;
};

// A Command's `process` points to one.
struct Running {
  Handle process;
  Handle job;  // its children are in it too; null: it could not be put into one
};

// While a pipe's end for one command can be inherited, no other command may begin.
struct Beginning {
  std::mutex mutex;
};

Running& running(const Command& command) noexcept { return *std::bit_cast<Running*>(command.process); }

void forget(const Command& command) noexcept { delete &running(command); }

// There is no asking a command to end by itself, as a signal does elsewhere.
void end(const Running& command) noexcept {
  if (command.job.get())
    ::TerminateJobObject(command.job.get(), kEnded);
  else
    ::TerminateProcess(command.process.get(), kEnded);
}

// `theirs`, unless null, becomes the command's standard input or output. Under the lock.
std::optional<Command> spawn(const char* text, HANDLE theirs, DWORD as) noexcept {
  try {
    char shell[MAX_PATH];
    const DWORD length = ::GetEnvironmentVariableA("COMSPEC", shell, sizeof shell);
    std::string line = length != 0 && length < sizeof shell ? shell : "cmd.exe";
    line = '"' + line + "\" /c " + text;  // as the C runtime has it
    auto started = std::make_unique<Running>();
    STARTUPINFOA how{};
    how.cb = sizeof how;
    if (theirs) {
      how.dwFlags = STARTF_USESTDHANDLES;
      how.hStdInput = as == STD_INPUT_HANDLE ? theirs : ::GetStdHandle(STD_INPUT_HANDLE);
      how.hStdOutput = as == STD_OUTPUT_HANDLE ? theirs : ::GetStdHandle(STD_OUTPUT_HANDLE);
      how.hStdError = ::GetStdHandle(STD_ERROR_HANDLE);
    }
    PROCESS_INFORMATION made{};
    if (!::CreateProcessA(nullptr, line.data(), nullptr, nullptr, TRUE, CREATE_SUSPENDED, nullptr, nullptr,
                          &how, &made)) {
      errno = ::GetLastError() == ERROR_NOT_ENOUGH_MEMORY ? ENOMEM : ENOENT;
      return std::nullopt;
    }
    const Handle thread(made.hThread);
    started->process.reset(made.hProcess);
    started->job.reset(::CreateJobObjectW(nullptr, nullptr));
    if (started->job.get() && !::AssignProcessToJobObject(started->job.get(), made.hProcess))
      started->job.reset(nullptr);
    ::ResumeThread(made.hThread);  // only now: what it starts is in the job as well
    return Command{std::bit_cast<std::int64_t>(started.release()), true};
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return std::nullopt;
  }
}

// What wakes the thread that waits for a command, from a thread of the system's.
struct End {
  std::atomic<bool> come{false};
  Waiter& waiter;
};

void CALLBACK note_end(void* argument, BOOLEAN) noexcept {
  auto* end = static_cast<End*>(argument);
  end->come.store(true, std::memory_order_release);
  end->waiter.wake_all();
}

// Until it has ended; a stop of this thread's runs ends it.
void wait_in(Run& run, const Running& command) noexcept {
  Waiter& waiter = run.stop().waiter();
  End ended{.waiter = waiter};
  HANDLE watch = nullptr;
  const bool watched = ::RegisterWaitForSingleObject(&watch, command.process.get(), note_end, &ended,
                                                     INFINITE, WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD);
  // If the system can't watch it for us, a stop is seen a little later.
  constexpr std::chrono::milliseconds kLook{50};
  run.listen(&waiter);
  for (bool told = false;;) {
    const Waiter::Ticket ticket = waiter.ticket();
    if (ended.come.load(std::memory_order_acquire)) break;
    if (!watched && ::WaitForSingleObject(command.process.get(), 0) == WAIT_OBJECT_0) break;
    run.answer_host();
    if (!told && run.interrupted()) {
      end(command);
      told = true;
    }
    run.park(ticket, watched ? std::nullopt : std::optional(Clock::now() + kLook));
  }
  run.listen(nullptr);
  if (watched) ::UnregisterWaitEx(watch, INVALID_HANDLE_VALUE);  // waits until note_end() has returned
}

int wait(const Command& command) noexcept {
  Running& waited = running(command);
  if (Run* run = Run::current())
    wait_in(*run, waited);
  else
    ::WaitForSingleObject(waited.process.get(), INFINITE);
  DWORD status = 0;
  ::GetExitCodeProcess(waited.process.get(), &status);
  forget(command);
  return static_cast<int>(status);
}

}  // namespace

int run(const char* text) noexcept {
  if (!text) return 1;  // there is a shell
  std::optional<Command> command;
  {
    const std::lock_guard lock(per_process<Beginning>().mutex);
    command = spawn(text, nullptr, 0);
  }
  return command ? wait(*command) : -1;
}

std::FILE* open(const char* text, const char* mode) noexcept {
  const bool reads = mode[0] == 'r';
  if (!reads && mode[0] != 'w') {
    errno = EINVAL;
    return nullptr;
  }
  std::FILE* file = nullptr;
  std::optional<Command> command;
  int error = EMFILE;
  {
    const std::lock_guard lock(per_process<Beginning>().mutex);
    HANDLE read = nullptr;
    HANDLE write = nullptr;
    if (!::CreatePipe(&read, &write, nullptr, 0)) {
      errno = error;
      return nullptr;
    }
    const Handle theirs(reads ? write : read);
    HANDLE ours = reads ? read : write;
    const int flags = (reads ? _O_RDONLY : 0) | (std::strchr(mode, 'b') ? _O_BINARY : _O_TEXT);
    const int descriptor = ::_open_osfhandle(std::bit_cast<std::intptr_t>(ours), flags);
    if (descriptor < 0) {
      ::CloseHandle(ours);
    } else if ((file = ::_fdopen(descriptor, mode)) == nullptr) {
      ::_close(descriptor);
    } else {
      ::SetHandleInformation(theirs.get(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
      command = spawn(text, theirs.get(), reads ? STD_OUTPUT_HANDLE : STD_INPUT_HANDLE);
      error = errno;
    }
  }
  Run* run = Run::current();
  if (command && run && open_files::add(file, run->vm(), command)) return file;
  if (file) std::fclose(file);
  if (command) end_now(*command);
  errno = command ? ENOMEM : error;
  return nullptr;
}

int close(std::FILE* file) noexcept {
  const open_files::Removed removed = open_files::remove(file);
  std::fclose(file);  // first: the command may wait for more to read
  if (removed.command) return wait(*removed.command);
  errno = ECHILD;
  return -1;
}

void stop(const std::vector<Command>& commands) noexcept {
  for (const Command& command : commands) end(running(command));
}

void end_now(const Command& command) noexcept {
  end(running(command));
  forget(command);
}

bool look_after_ended() { return false; }  // nothing is left of them

// The C runtime can't forget what a file has buffered: it is written to where nothing is kept.
void close_unwritten(std::FILE* file) noexcept {
  const int nowhere = ::_open("NUL", _O_WRONLY | _O_BINARY);
  if (nowhere >= 0) {
    ::_dup2(nowhere, ::_fileno(file));
    ::_close(nowhere);
  }
  std::fclose(file);
}

}  // namespace osthread::commands
