//! Places for detached calls: on each CPU a few headers, each with room for a closure, for whoever has no csd of its own.
//!
//! A detached call claims a free place of its *target*, copies its closure there, and pushes the place's header like a csd's.
//! The target copies the closure out, unlocks the place, and runs the copy: the place is free before the function starts, as
//! an asynchronous csd is (P5). So no number of CPUs needs more than N × [`DETACHED_MAX`] places (P13), and nobody waits for an
//! earlier call, as a caller of Linux's `smp_call_function_single(wait=0)` does.
//!
//! # Invariants (I1–I3 are those of [`crate::state`])
//!
//! - **I12** Between the claim and the push the closure's room is the claimant's; between the take and the unlock, the
//!   target's. Nobody else reads or writes it. The header is never cancelled, and nobody is told Busy by it: only
//!   [`State::claim_unshared`](crate::state::State::claim_unshared) claims it.
//!
//! A place is part of the CPU's memory, which stays where it is once the CPU has come online: see I13 of [`crate::percpu`].

use crate::csd::{Header, Work};
use crate::luggage::Luggage;
use crate::state::Kind;
use crate::sync::{SharedCell, const_unless_loom};
use core::mem::MaybeUninit;

/// How many detached calls to one CPU can be in flight. (Under loom fewer: it pays for every object.)
pub const DETACHED_MAX: usize = if cfg!(loom) { 2 } else { 4 };

/// Where one detached call travels.
#[repr(C, align(64))]
pub(crate) struct Place {
    header: Header,
    luggage: SharedCell<Luggage>,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Place>() == 64, "header and luggage are one cache line");

impl Place {
    const_unless_loom! {
        fn new() -> Self {
            Self { header: Header::new(), luggage: SharedCell::new(MaybeUninit::uninit()) }
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Puts a closure and what runs it into the place.
    ///
    /// # Safety
    ///
    /// The caller has claimed the place and has not pushed it yet (I12). `run` is given a pointer to a copy of the luggage.
    #[inline]
    pub(crate) unsafe fn fill(&self, luggage: Luggage, run: crate::csd::Func) {
        // SAFETY: by I12 the room is the caller's.
        self.luggage.with_mut(|room| unsafe { *room = luggage });
        // SAFETY: claimed, and not pushed yet (I2).
        unsafe { self.header.set_work(Work { func: run, arg: (&raw const self.luggage).cast() }) };
    }
}

/// Copies the closure out of the place whose work this is.
///
/// # Safety
///
/// The caller is the target, took the place off its queue, and has not unlocked it yet (I12).
#[inline]
pub(crate) unsafe fn unpack(work: &Work) -> Luggage {
    // SAFETY: `fill` made `arg` of the place's room, which is part of the CPU's memory (I13).
    let room = unsafe { &*work.arg.cast::<SharedCell<Luggage>>() };
    // SAFETY: by I12 the room is the caller's.
    room.with(|room| unsafe { *room })
}

/// One CPU's places.
pub(crate) struct Places([Place; DETACHED_MAX]);

// SAFETY: a place is reached by one side at a time (I12), and what travels in it is `Send` by the bounds of
// `Smp::post_detached`.
unsafe impl Sync for Places {}
// SAFETY: as above; what can be moved was never online, or its machine is pinned (I13): the headers' pointers are dead values.
unsafe impl Send for Places {}

impl Places {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self([const { Place::new() }; DETACHED_MAX])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| Place::new()))
    }

    /// Claims a place for a call to `cpu`, whose places these are; `None` if all are in flight. Wait-free.
    #[inline]
    pub(crate) fn claim(&self, cpu: u32) -> Option<&Place> {
        self.0.iter().find(|place| place.header.state.claim_unshared(cpu, Kind::Detached))
    }
}
