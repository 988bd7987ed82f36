#include "builtins.hpp"
#include "interpreter.hpp"
#include "lua_headers.hpp"
#include "osthread/osthread.hpp"

extern "C" int RunLuaThread(void* code) {
  using namespace osthread;
  const Run::Shield shield;  // of a run that calls this through FFI
  try {
    const auto stop = std::make_shared<Stop>(StateOptions{}.grace);
    Interpreter interpreter({}, "RunLuaThread");
    stop->open();
    stop->bind(interrupt::this_thread());
    interpreter.compile(Code(static_cast<const char*>(code)));
    Outcome outcome = interpreter.run({}, *stop);
    stop->begin_finalizers();
    if (interpreter.finalize(*stop)) outcome = std::move(*interpreter.take_left());
    stop->close();
    if (outcome.error) std::rethrow_exception(outcome.error);
    return 0;
  } catch (const LuaSyntaxError&) {
    return LUA_ERRSYNTAX;
  } catch (const LuaMemoryError&) {
    return LUA_ERRMEM;
  } catch (const std::bad_alloc&) {
    return LUA_ERRMEM;
  } catch (const ConversionError&) {
    return 0;  // results nobody asked for
  } catch (const std::exception&) {
    return LUA_ERRRUN;
  }
}
