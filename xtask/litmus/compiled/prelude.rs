//! What the probes share: the core's own functions, and a number that one thread leaves for the other.
#![allow(unused_imports, reason = "each probe takes what it needs")]

pub(crate) use crate::csd::Header;
pub(crate) use crate::lock::{SlotGuard, SlotLock};
pub(crate) use crate::multicast::{Callers, Collected, Slot};
pub(crate) use crate::percpu::Running;
pub(crate) use crate::queue::{GoIdle, Head, Pushed, Seen};
pub(crate) use crate::state::{Claim, Park, State, Urgency};
use crate::sync::{AtomicU32, Ordering};

/// What is written before a step and read after it: a plain access to the machine, which this one is too.
#[repr(transparent)]
pub(crate) struct Data(AtomicU32);

impl Data {
    #[inline(always)]
    pub(crate) fn put(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a thread returns that has come by another way than the race's.
pub(crate) const ELSE: u32 = 9;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
