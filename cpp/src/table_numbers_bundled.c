/* Compiled against the private headers of the LuaJIT that is linked in. */
#include "table_numbers.h"

#include "lj_obj.h"

size_t osthread_read_numbers(lua_State* L, size_t first, double* numbers, size_t most) {
  const GCtab* table = tabV(L->top - 1);
  const TValue* array = tvref(table->array);
  size_t count = 0;
  if (table->asize == 0 || !tvisnil(&array[0])) return 0;
  for (; count < most && first + count < table->asize && tvisnumber(&array[first + count]); ++count)
    numbers[count] = numberVnum(&array[first + count]);
  return count;
}

size_t osthread_write_numbers(lua_State* L, size_t first, const double* numbers, size_t count) {
  const GCtab* table = tabV(L->top - 1);
  TValue* array = tvref(table->array);
  size_t done = 0;
  for (; done < count && first + done < table->asize; ++done) {
    TValue* to = &array[first + done];
    setnumV(to, numbers[done]);
    if (tvisnan(to)) setnanV(to); /* any other bits could be a tag */
  }
  return done;
}
