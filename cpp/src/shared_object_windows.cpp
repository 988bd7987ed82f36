#include <windows.h>

#include "shared_object.hpp"

namespace osthread {

std::string shared_object_path() {
  HMODULE module = nullptr;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                     reinterpret_cast<LPCSTR>(&shared_object_path), &module);
  char path[MAX_PATH];
  const DWORD length = GetModuleFileNameA(module, path, MAX_PATH);
  return {path, length < MAX_PATH ? length : 0};
}

// Windows binds a module to the library it names.
std::string promote_symbols() { return {}; }
bool symbols_promoted() noexcept { return false; }

}  // namespace osthread
