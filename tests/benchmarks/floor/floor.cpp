#include "floor.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

extern "C" {
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
}

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

pthread_t start(void* (*routine)(void*), const char* code) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, routine, const_cast<char*>(code)) != 0) {
    std::fputs("the floor can't start a thread\n", stderr);
    std::abort();
  }
  return thread;
}

void* run_lua_thread(void* code) {
  lua_State* L = luaL_newstate();
  lua_gc(L, LUA_GCSTOP, 0);
  luaL_openlibs(L);
  lua_gc(L, LUA_GCRESTART, -1);
  if (luaL_loadstring(L, static_cast<const char*>(code)) == 0) lua_pcall(L, 0, 0, 0);
  lua_close(L);
  return nullptr;
}

std::atomic<int> asleep{0};

int sleep_for_ever(lua_State*) {
  asleep.fetch_add(1);
  for (;;) pause();
}

void* sleeper(void*) {
  lua_State* L = luaL_newstate();
  lua_gc(L, LUA_GCSTOP, 0);
  luaL_openlibs(L);
  lua_gc(L, LUA_GCRESTART, -1);
  lua_register(L, "sleep_for_ever", sleep_for_ever);
  if (luaL_loadstring(L, "sleep_for_ever()") == 0) lua_pcall(L, 0, 0, 0);
  return nullptr;
}

// Not inlined: a function of its own, as the kernels that it is compared with are.
[[gnu::noinline]] void axpy(double a, const double* x, double* y, long begin, long end) {
  for (long i = begin; i < end; ++i) y[i] = a * x[i] + y[i];
}

}  // namespace

double floor_axpy(double a, const double* x, double* y, long count, int threads) {
  const Clock::time_point begin = Clock::now();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back(axpy, a, x, y, count * t / threads, count * (t + 1) / threads);
  for (std::thread& worker : workers) worker.join();
  return microseconds_since(begin) / 1e6;
}

double floor_axpy_rounds(double a, const double* x, double* y, long count, int threads, int rounds) {
  std::vector<std::thread> workers;
  const Clock::time_point begin = Clock::now();
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) axpy(a, x, y, count * t / threads, count * (t + 1) / threads);
    });
  for (std::thread& worker : workers) worker.join();
  return microseconds_since(begin) / 1e6 / rounds;
}

double floor_start(const char* code) {
  const Clock::time_point begin = Clock::now();
  pthread_join(start(run_lua_thread, code), nullptr);
  return microseconds_since(begin);
}

namespace {

std::atomic<bool> signalled{false};

void* spin_until_signalled(void*) {
  while (!signalled.load(std::memory_order_relaxed)) {
  }
  return nullptr;
}

}  // namespace

double floor_interrupt(void) {
  struct sigaction action {};
  action.sa_handler = [](int) { signalled.store(true); };
  sigaction(SIGUSR1, &action, nullptr);
  signalled.store(false);
  const pthread_t thread = start(spin_until_signalled, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  const Clock::time_point begin = Clock::now();
  pthread_kill(thread, SIGUSR1);
  pthread_join(thread, nullptr);
  return microseconds_since(begin);
}

double floor_burst(int count, const char* code) {
  const Clock::time_point begin = Clock::now();
  std::vector<pthread_t> threads;
  for (int i = 0; i < count; ++i) threads.push_back(start(run_lua_thread, code));
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  return microseconds_since(begin);
}

void floor_sleepers(int count) {
  asleep.store(0);
  for (int i = 0; i < count; ++i) pthread_detach(start(sleeper, ""));
  while (asleep.load() < count) usleep(1000);
}
