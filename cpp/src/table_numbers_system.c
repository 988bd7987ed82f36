/* How the tables of a LuaJIT of the system look inside is its own business. */
#include "table_numbers.h"

size_t osthread_read_numbers(lua_State* L, size_t first, double* numbers, size_t most) {
  (void)L;
  (void)first;
  (void)numbers;
  (void)most;
  return 0;
}

size_t osthread_write_numbers(lua_State* L, size_t first, const double* numbers, size_t count) {
  (void)L;
  (void)first;
  (void)numbers;
  (void)count;
  return 0;
}
