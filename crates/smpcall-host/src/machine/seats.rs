//! The CPUs that threads attach to.

use std::sync::atomic::{AtomicBool, Ordering};

/// Which CPUs threads may attach to, and which of them are taken.
#[derive(Debug)]
pub(crate) struct Seats {
    first: u32,
    taken: Box<[AtomicBool]>,
}

impl Seats {
    pub(super) fn new(first: u32, len: usize) -> Self {
        let taken = std::iter::repeat_with(|| AtomicBool::new(false)).take(len).collect();
        Self { first, taken }
    }

    pub(super) fn has(&self, cpu: u32) -> bool {
        self.seat(cpu).is_some()
    }

    pub(super) fn seat(&self, cpu: u32) -> Option<&AtomicBool> {
        self.taken.get(cpu.checked_sub(self.first)? as usize)
    }

    pub(crate) fn give_back(&self, cpu: u32) {
        if let Some(seat) = self.seat(cpu) {
            // Release: the CPU's next thread sees its own flags as we left them; pairs with `take_seat`.
            seat.store(false, Ordering::Release);
        }
    }
}
