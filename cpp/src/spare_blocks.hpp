// Blocks that one thread frees and another needs: parcels on their way between threads. A general allocator
// puts such a block back under a lock of the thread that made it, and then the two wait for each other.
//
// Invariant: a block in a slot belongs to nobody; whoever gets it out by exchange owns it. The indices are
// only hints where to look, so they may be written by several at once and be wrong.
//
// Of each size about kKept bytes are kept at most.
//
// Thread safety: any number of threads may call anything at once; lock-free, but for the allocator beneath.
#pragma once

#include <cstddef>

namespace osthread::spare_blocks {

void* allocate(std::size_t bytes);  // as ::operator new
void deallocate(void* block, std::size_t bytes) noexcept;
void give_back() noexcept;  // all that are kept, to the allocator

}  // namespace osthread::spare_blocks
