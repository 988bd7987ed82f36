#include "commands.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio_ext.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <vector>

#include "fork.hpp"
#include "run.hpp"

extern char** environ;

namespace osthread::commands {
namespace {

// How long a command has to end by itself when the code that waits for it is asked to stop.
constexpr std::chrono::milliseconds kCourtesy{50};

// Of the commands that were ended at once: each is gone in a moment, and its entry in the system's table with
// the next look.
struct Ended {
  std::mutex mutex;
  std::vector<pid_t> processes;
};

// Of a terminal, whether it is standard input or not: commands open it themselves.
bool in_foreground() noexcept {
  const int terminal = ::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  const bool foreground = tcgetpgrp(terminal) == getpgrp();
  ::close(terminal);
  return foreground;
}

// `descriptor`, unless negative, becomes the command's `as`.
std::optional<Command> spawn(const char* text, int descriptor, int as) noexcept {
  const bool own_group = !in_foreground();
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_init(&actions);
  // Our threads block nearly every signal, and a command starts with its creator's mask.
  sigset_t none, handled;
  sigemptyset(&none);
  sigemptyset(&handled);
  for (const int number : {SIGINT, SIGQUIT}) sigaddset(&handled, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &handled);
  posix_spawnattr_setpgroup(&attributes, 0);
  const short group = own_group ? POSIX_SPAWN_SETPGROUP : 0;
  posix_spawnattr_setflags(&attributes,
                           static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  if (descriptor >= 0) posix_spawn_file_actions_adddup2(&actions, descriptor, as);
  const char* const arguments[] = {"sh", "-c", text, nullptr};
  pid_t process = 0;
  const int error =
      posix_spawn(&process, "/bin/sh", &actions, &attributes, const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    errno = error;
    return std::nullopt;
  }
  return Command{process, own_group};
}

void send(const Command& command, int number) noexcept {
  const auto process = static_cast<pid_t>(command.process);
  ::kill(command.own_group ? -process : process, number);
}

// Its status; -1 with errno, as waitpid() has it. A signal that asks this thread to stop ends the system's
// wait, and comes again until the thread has answered; the answer is the command's end.
int wait(const Command& command) noexcept {
  const auto process = static_cast<pid_t>(command.process);
  const Run::Interruptible interruptible;
  std::optional<Clock::time_point> last;
  for (;;) {
    int status = 0;
    Run* run = Run::current();
    if (run) run->answer_host();
    if (run && run->interrupted() && !last) {
      last = Clock::now() + kCourtesy;
      send(command, SIGTERM);
      send(command, SIGCONT);
    }
    if (last && (Clock::now() >= *last || run->leaving())) send(command, SIGKILL);
    const pid_t ended = waitpid(process, &status, 0);
    if (ended == process) return status;
    if (ended < 0 && errno != EINTR) return -1;
  }
}

}  // namespace

int run(const char* text) noexcept {
  if (!text) return 1;  // there is a shell
  const std::optional<Command> command = spawn(text, -1, -1);
  return command ? wait(*command) : -1;
}

std::FILE* open(const char* text, const char* mode) noexcept {
  const bool reads = std::strcmp(mode, "r") == 0;
  if (!reads && std::strcmp(mode, "w") != 0) {
    errno = EINVAL;
    return nullptr;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  const int ours = ends[reads ? 0 : 1];
  const int theirs = ends[reads ? 1 : 0];
  std::FILE* file = fdopen(ours, mode);
  if (!file) {
    ::close(ours);
    ::close(theirs);
    return nullptr;
  }
  const std::optional<Command> command = spawn(text, theirs, reads ? STDOUT_FILENO : STDIN_FILENO);
  const int error = errno;
  ::close(theirs);
  Run* run = Run::current();
  if (command && run && open_files::add(file, run->vm(), command)) return file;
  std::fclose(file);
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
  for (const Command& command : commands) {
    send(command, SIGTERM);
    send(command, SIGCONT);
  }
  const Clock::time_point last = Clock::now() + kCourtesy;
  for (const Command& command : commands) {
    // Before Linux 5.3 there is no way to wait for an end with a time limit that leaves the status.
    const auto descriptor = static_cast<int>(::syscall(SYS_pidfd_open, command.process, 0));
    if (descriptor >= 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(last - Clock::now()).count();
      pollfd ended{descriptor, POLLIN, 0};
      ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
      ::close(descriptor);
    }
    send(command, SIGKILL);  // its group may go on without it
  }
}

bool look_after_ended() {
  auto& ended = per_process<Ended>();
  const std::lock_guard lock(ended.mutex);
  std::erase_if(ended.processes, [](pid_t process) { return waitpid(process, nullptr, WNOHANG) != 0; });
  return !ended.processes.empty();
}

void end_now(const Command& command) noexcept {
  send(command, SIGKILL);
  const auto process = static_cast<pid_t>(command.process);
  if (waitpid(process, nullptr, WNOHANG) != 0) return;
  try {
    auto& ended = per_process<Ended>();
    const std::lock_guard lock(ended.mutex);
    ended.processes.push_back(process);
  } catch (const std::exception&) {
    return;  // short of memory: its entry stays until this process ends
  }
}

void close_unwritten(std::FILE* file) noexcept {
  __fpurge(file);
  std::fclose(file);
}

}  // namespace osthread::commands
