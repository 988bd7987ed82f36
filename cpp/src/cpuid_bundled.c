/* LuaJIT asks the processor what it is for every lua_State. In a virtual machine each CPUID leaves the guest:
 *a third of what
 ** making a state costs. The answer never changes, so it is asked once; the linker sends LuaJIT's calls here
 *(--wrap). */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

int __real_lj_vm_cpuid(uint32_t leaf, uint32_t registers[4]);
int __wrap_lj_vm_cpuid(uint32_t leaf, uint32_t registers[4]);

enum { kUnknown, kBeingWritten, kKnown, kLeaves = 8 };

typedef struct {
  atomic_int state;
  int status;
  uint32_t registers[4];
} Answer;

static Answer answers[kLeaves];

int __wrap_lj_vm_cpuid(uint32_t leaf, uint32_t registers[4]) {
  int status;
  int expected = kUnknown;
  Answer* answer;
  if (leaf >= kLeaves) return __real_lj_vm_cpuid(leaf, registers);
  answer = &answers[leaf];
  /* Acquire, with the release below: who sees kKnown sees the registers. */
  if (atomic_load_explicit(&answer->state, memory_order_acquire) == kKnown) {
    memcpy(registers, answer->registers, sizeof answer->registers);
    return answer->status;
  }
  status = __real_lj_vm_cpuid(leaf, registers);
  if (atomic_compare_exchange_strong(&answer->state, &expected, kBeingWritten)) {
    memcpy(answer->registers, registers, sizeof answer->registers);
    answer->status = status;
    atomic_store_explicit(&answer->state, kKnown, memory_order_release);
  }
  return status;
}
