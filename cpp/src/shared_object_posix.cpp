#include <dlfcn.h>

#include <atomic>

#include "fork.hpp"
#include "shared_object.hpp"

namespace osthread {

std::string shared_object_path() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(&shared_object_path), &info) || !info.dli_fname) return {};
  return info.dli_fname;
}

namespace {

constinit std::atomic<bool> promoted{false};

struct Promotion {
  std::string failure = [] {
    const std::string path = shared_object_path();
    // NOLOAD: the handle of what is loaded already; the promotion stays although the handle is never closed.
    if (dlopen(path.c_str(), RTLD_NOLOAD | RTLD_NOW | RTLD_GLOBAL)) {
      promoted.store(true, std::memory_order_relaxed);
      return std::string();
    }
    const char* reason = dlerror();
    // A program that LuaJIT is linked into has no library to promote; its own symbols are global if it
    // exports them.
    return dlopen(nullptr, RTLD_NOW) && path.empty() ? std::string() : std::string(reason ? reason : "");
  }();
};

}  // namespace

std::string promote_symbols() { return per_process<Promotion>().failure; }
bool symbols_promoted() noexcept { return promoted.load(std::memory_order_relaxed); }

}  // namespace osthread
