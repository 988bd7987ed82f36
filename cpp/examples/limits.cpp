// Code that would never end by itself, ended: by its time limit, by its memory limit, by us.
#include <chrono>
#include <iostream>
#include <osthread/osthread.hpp>

using namespace std::chrono_literals;

namespace {

template <class Error>
void expect(const osthread::OSThread& thread) {
  try {
    thread.result();
  } catch (const Error& error) {
    std::cout << thread.name() << ": " << error.what() << " (" << osthread::to_string(thread.status())
              << ")\n";
    return;
  }
  throw std::logic_error(thread.name() + " came to an end by itself");
}

}  // namespace

int main() {
  if (!osthread::features().interrupts_compiled_loops) {
    std::cout << "This LuaJIT can't interrupt compiled loops.\n";
    return 0;
  }
  osthread::OSThread endless("while true do end", {}, {.name = "endless", .time_limit = 50ms});
  osthread::OSThread greedy("local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", {},
                            {.name = "greedy", .memory_limit = 16 << 20});
  osthread::OSThread sleepy("require('osthread').sleep(1e9)", {}, {.name = "sleepy"});

  sleepy.interrupt();  // asks; result() waits for the end
  expect<osthread::Stopped>(sleepy);
  expect<osthread::LuaTimeout>(endless);
  expect<osthread::LuaMemoryError>(greedy);

  // The errors stay in the threads they happened in.
  return osthread::OSThread("return 6 * 7").result().at(0).as<int>() == 42 ? 0 : 1;
}
