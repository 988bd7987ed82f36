#include "open_files.hpp"

#include <exception>
#include <mutex>
#include <unordered_map>

#include "commands.hpp"
#include "fork.hpp"
#include "vm.hpp"

namespace osthread::open_files {
namespace {

struct Entry {
  const Vm* owner;
  std::optional<Command> command;
  std::uint64_t number;
};

struct Files {
  std::mutex mutex;
  std::uint64_t count = 0;
  std::unordered_map<std::FILE*, Entry> open;
};

}  // namespace

bool add(std::FILE* file, Vm& owner, std::optional<Command> command) noexcept {
  try {
    auto& files = per_process<Files>();
    const std::lock_guard lock(files.mutex);
    files.open.insert_or_assign(file, Entry{&owner, command, ++files.count});
    owner.has_files = true;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::uint64_t count() noexcept {
  try {
    auto& files = per_process<Files>();
    const std::lock_guard lock(files.mutex);
    return files.count;
  } catch (const std::bad_alloc&) {
    return 0;  // none has been noted yet
  }
}

std::vector<Command> commands_since(std::uint64_t count, const Vm& owner) {
  std::vector<Command> commands;
  if (!owner.has_files) return commands;
  auto& files = per_process<Files>();
  const std::lock_guard lock(files.mutex);
  for (const auto& [file, entry] : files.open)
    if (entry.owner == &owner && entry.number > count && entry.command) commands.push_back(*entry.command);
  return commands;
}

Removed remove(std::FILE* file) noexcept {
  try {
    auto& files = per_process<Files>();
    const std::lock_guard lock(files.mutex);
    const auto at = files.open.find(file);
    if (at == files.open.end()) return {};
    const Removed removed{true, at->second.command};
    files.open.erase(at);
    return removed;
  } catch (const std::bad_alloc&) {
    return {};  // none has been noted yet
  }
}

namespace {

// One of the state's; null: there is none. Files are few, so nothing is kept to find them sooner.
std::FILE* any_of(const Vm& owner) noexcept {
  auto& files = per_process<Files>();
  const std::lock_guard lock(files.mutex);
  for (const auto& [file, entry] : files.open)
    if (entry.owner == &owner) return file;
  return nullptr;
}

}  // namespace

void discard(const Vm& owner) noexcept {
  if (!owner.has_files) return;
  while (std::FILE* file = any_of(owner)) {
    const Removed removed = remove(file);
    commands::close_unwritten(file);
    if (removed.command) commands::end_now(*removed.command);
  }
}

}  // namespace osthread::open_files
