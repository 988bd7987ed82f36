// Where the error of a finalizer (__gc, ffi.gc) goes. It ends that finalizer alone, and no chunk can be given
// it.
//
// Thread safety: everything may be called from any thread; the reporter is called on the one that finalizes.
#pragma once

#include <exception>

#include "lua_headers.hpp"

namespace osthread {

// Setup step: errors go to the reporter; to stderr, as LuaJIT has it, while there is none or if it says
// false. A stop is no error.
int install_finalizer_errors(lua_State* L);

// The same for the error on top of the stack, which a profiler's callback has raised. May raise.
int report_profiler_error(lua_State* L);

// `source`: "a finalizer" or "a profiler's callback".
using FinalizerErrorReporter = bool (*)(const std::exception_ptr& error, const char* source) noexcept;
void set_finalizer_error_reporter(FinalizerErrorReporter reporter) noexcept;

}  // namespace osthread
