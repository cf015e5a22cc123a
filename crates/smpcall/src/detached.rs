//! DetachedSlots for detached calls: on each CPU a few headers, each with room for a closure, for whoever has no csd of its own.
//!
//! A detached call claims a free slot of its *target*, copies its closure there, and pushes the slot's header like a csd's.
//! The target copies the closure out, unlocks the slot, and runs the copy: the slot is free before the function starts, as
//! an asynchronous csd is (P5). So no number of CPUs needs more than N × [`DETACHED_MAX`] slots (P13), and nobody waits for an
//! earlier call, as a caller of Linux's `smp_call_function_single(wait=0)` does.
//!
//! # Invariants (I1–I3 are those of [`crate::state`])
//!
//! - **I12** Between the claim and the push the closure's room is the claimant's; between the take and the unlock, the
//!   target's. Nobody else reads or writes it. The header is never cancelled, and nobody is told Busy by it: only
//!   [`State::claim_unshared`](crate::state::State::claim_unshared) claims it.
//!
//! A slot is part of the CPU's memory, which stays where it is once the CPU has come online: see I13 of [`crate::percpu`].

use crate::csd::{Header, Work};
use crate::payload::InlinePayload;
use crate::state::Kind;
use crate::sync::{SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

/// How many detached calls to one CPU can be in flight. (Under loom fewer: it pays for every object.)
pub const DETACHED_MAX: usize = if cfg!(loom) { 2 } else { 4 };

/// Where one detached call travels.
#[repr(C, align(64))]
pub(crate) struct DetachedSlot {
    header: Header,
    payload: SharedCell<InlinePayload>,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<DetachedSlot>() == 64, "header and payload are one cache line");

impl DetachedSlot {
    const_unless_loom! {
        fn new() -> Self {
            Self { header: Header::new(), payload: SharedCell::new(MaybeUninit::uninit()) }
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Puts a closure and what runs it into the slot.
    ///
    /// # Safety
    ///
    /// The caller has claimed the slot and has not pushed it yet (I12). `run` is given a pointer to a copy of the payload.
    #[inline]
    pub(crate) unsafe fn fill(&self, payload: InlinePayload, run: crate::csd::Func) {
        // SAFETY: by I12 the room is the caller's.
        self.payload.with_mut(|room| unsafe { *room = payload });
        // SAFETY: claimed, and not pushed yet (I2).
        unsafe { self.header.set_work(Work { func: run, arg: (&raw const self.payload).cast() }) };
    }
}

/// Copies the closure out of the slot whose work this is.
///
/// # Safety
///
/// The caller is the target, took the slot off its queue, and has not unlocked it yet (I12).
#[inline]
pub(crate) unsafe fn unpack(work: &Work) -> InlinePayload {
    // SAFETY: `fill` made `arg` of the slot's room, which is part of the CPU's memory (I13).
    let room = unsafe { &*work.arg.cast::<SharedCell<InlinePayload>>() };
    // SAFETY: by I12 the room is the caller's.
    room.with(|room| unsafe { *room })
}

/// One CPU's slots.
pub(crate) struct DetachedSlots([DetachedSlot; DETACHED_MAX]);

// SAFETY: a slot is reached by one side at a time (I12), and what travels in it is `Send` by the bounds of
// `Smp::post_detached`.
unsafe impl Sync for DetachedSlots {}
// SAFETY: as above; what can be moved was never online, or its machine is pinned (I13): the headers' pointers are dead values.
unsafe impl Send for DetachedSlots {}

impl DetachedSlots {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self([const { DetachedSlot::new() }; DETACHED_MAX])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| DetachedSlot::new()))
    }

    /// Claims a slot for a call to `cpu`, whose slots these are; `None` if all are in flight. Wait-free.
    #[inline]
    pub(crate) fn claim(&self, cpu: u32) -> Option<&DetachedSlot> {
        self.0.iter().find(|slot| slot.header.state.claim_unshared(cpu, Kind::Detached))
    }
}
