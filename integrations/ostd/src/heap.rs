//! ostd's allocators, as its own kernels have them, with a count of what the heap is asked for.

use core::alloc::{AllocError, Layout};
use core::sync::atomic::{AtomicU64, Ordering};
use osdk_frame_allocator::FrameAllocator;
use osdk_heap_allocator::{HeapAllocator, type_from_layout};
use ostd::mm::heap::{GlobalHeapAllocator, HeapSlot, SlotInfo};

#[ostd::global_frame_allocator]
static FRAMES: FrameAllocator = FrameAllocator;

#[ostd::global_heap_allocator]
static HEAP: Counted = Counted { allocations: AtomicU64::new(0), bytes: AtomicU64::new(0) };

struct Counted {
    allocations: AtomicU64,
    bytes: AtomicU64,
}

impl GlobalHeapAllocator for Counted {
    fn alloc(&self, layout: Layout) -> Result<HeapSlot, AllocError> {
        // Relaxed: figures.
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(layout.size() as u64, Ordering::Relaxed);
        HeapAllocator.alloc(layout)
    }

    fn dealloc(&self, slot: HeapSlot) -> Result<(), AllocError> {
        HeapAllocator.dealloc(slot)
    }
}

#[ostd::global_heap_allocator_slot_map]
const fn slot_info(layout: Layout) -> Option<SlotInfo> {
    type_from_layout(layout)
}

/// Returns how often the heap was asked for memory so far, and for how many bytes.
pub(crate) fn asked_for() -> (u64, u64) {
    // Relaxed: figures.
    (HEAP.allocations.load(Ordering::Relaxed), HEAP.bytes.load(Ordering::Relaxed))
}
