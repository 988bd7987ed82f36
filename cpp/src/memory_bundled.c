/* Where LuaJIT copies, compares or searches long memory, it is in the C library's text for nearly all of its
 * time (string.rep of the same string again and again), so that a signal hardly ever finds it in its own.
 * Then it can be left when the C library returns (the linker's --wrap). */
#include <stddef.h>

#include "leaving.h"

/* Bytes: below it the time in the C library is short, and a check would show. No block that long is the
 * allocator's own business (memory_quota.hpp). */
enum { kLong = 64 * 1024 };

void* __real_memcpy(void* to, const void* from, size_t size);
void* __real_memmove(void* to, const void* from, size_t size);
void* __real_memset(void* to, int byte, size_t size);
int __real_memcmp(const void* one, const void* other, size_t size);
void* __real_memchr(const void* in, int byte, size_t size);
void* __wrap_memcpy(void* to, const void* from, size_t size);
void* __wrap_memmove(void* to, const void* from, size_t size);
void* __wrap_memset(void* to, int byte, size_t size);
int __wrap_memcmp(const void* one, const void* other, size_t size);
void* __wrap_memchr(const void* in, int byte, size_t size);

void* __wrap_memcpy(void* to, const void* from, size_t size) {
  void* result = __real_memcpy(to, from, size);
  if (size >= kLong) osthread_leave_if_asked();
  return result;
}

void* __wrap_memmove(void* to, const void* from, size_t size) {
  void* result = __real_memmove(to, from, size);
  if (size >= kLong) osthread_leave_if_asked();
  return result;
}

void* __wrap_memset(void* to, int byte, size_t size) {
  void* result = __real_memset(to, byte, size);
  if (size >= kLong) osthread_leave_if_asked();
  return result;
}

int __wrap_memcmp(const void* one, const void* other, size_t size) {
  const int result = __real_memcmp(one, other, size);
  if (size >= kLong) osthread_leave_if_asked();
  return result;
}

void* __wrap_memchr(const void* in, int byte, size_t size) {
  void* result = __real_memchr(in, byte, size);
  if (size >= kLong) osthread_leave_if_asked();
  return result;
}
