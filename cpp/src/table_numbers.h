/* The numbers of a table's array part, without several calls of Lua's API for each. */
#ifndef OSTHREAD_TABLE_NUMBERS_H
#define OSTHREAD_TABLE_NUMBERS_H

#include <lua.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the table on top of the stack: the elements from `first` on, as long as they are numbers in its array
 * part, `most` of them at most. How many; none if there is an element 0, so that lua_next() goes on after the
 * last of them. */
size_t osthread_read_numbers(lua_State* L, size_t first, double* numbers, size_t most);

/* Sets the elements from `first` on that the array part of the table on top has room for. How many. */
size_t osthread_write_numbers(lua_State* L, size_t first, const double* numbers, size_t count);

#ifdef __cplusplus
}
#endif

#endif
