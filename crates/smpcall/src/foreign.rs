//! Call objects of another language: a C kernel's csds, and what else it keeps in the same queue.
//!
//! A kernel in which this core takes the call layer's place has call objects already, in Linux's layout, which its own code
//! fills in, embeds and posts. A [`ForeignCsd`] is the header of [`crate::csd`] and nothing else. It is claimed, pushed and
//! unlocked like a [`Csd`](crate::Csd), so all that is promised of one holds (P1–P3, P5, P6, P8), but function and argument are
//! its owner's: we never write them, and the port calls the one with the other
//! ([`Foreign::run_foreign`](crate::Foreign::run_foreign)). All zero but for these two, it is free.
//!
//! An [`Entry`] is what only rides along: Linux's irq_work and task wake-ups, which have a claim of their own, and share with a
//! csd the link and the kind, in bits 4–7 of the second word. It is pushed, and handed to the port
//! ([`Foreign::take_entry`](crate::Foreign::take_entry)) when the flush comes to it, in order with the asynchronous calls.
//!
//! # Invariants
//!
//! - **I19** Of an entry, nothing is read but `next`, and the kind in the state word (0x20 or 0x30, which no csd has); nothing is
//!   written but `next`, and that only between the push and the hand-over. So an entry need not be a whole [`Header`]; it must
//!   lie in an object that has memory for one.

use crate::csd::Header;
use crate::sync::const_unless_loom;

/// A csd that another language made: [Linux's `call_single_data_t`](crate::Csd), 32 bytes on a 64-bit machine, at an address that is
/// a multiple of 8 at least. Its first half is the core's, and all zero at first; function and argument are its owner's.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use smpcall::{Budget, Flushed, Foreign, ForeignCsd, Posted};
/// struct Port;
/// impl Foreign for Port {
///     unsafe fn run_foreign(&self, function: *const (), argument: *const (), _csd: *const ()) {
///         // SAFETY: what is posted here has such a function, and an argument for it.
///         unsafe { core::mem::transmute::<*const (), extern "C" fn(*const ())>(function)(argument) }
///     }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Tracing, Topology, Tuning, Hosting);
/// # let smp = one::machine(Port);
/// # let mut cpu = smp.as_ref().online().unwrap();
/// extern "C" fn flush_tlb(page: *const ()) { assert_eq!(page.addr(), 7); }
///
/// let csd = ForeignCsd::new(flush_tlb as *const (), core::ptr::without_provenance(7));
/// // SAFETY: it stays here, and is flushed before it goes.
/// assert_eq!(unsafe { smp.post_foreign(0, &csd) }, Ok(Posted::Queued));
/// assert!(csd.is_pending());
/// assert_eq!(cpu.flush(Budget::DEFAULT), Flushed::All(1));
/// assert!(!csd.is_pending());
/// // SAFETY: as above. This CPU is in no call and has nothing queued, so it runs at once.
/// unsafe { smp.post_foreign_or_run(0, &csd, |answer| assert_eq!(answer, Ok(Posted::Queued))) };
/// assert!(!smp.has_work_here());
/// ```
#[repr(transparent)]
pub struct ForeignCsd(pub(crate) Header);

// SAFETY: the header's cells are reached by one side at a time (I2), its atomics by anyone; what the function may touch is the
// owner's promise (`Smp::post_foreign`).
unsafe impl Sync for ForeignCsd {}
// SAFETY: one that can be moved is not queued, and then its pointers are the owner's.
unsafe impl Send for ForeignCsd {}

impl ForeignCsd {
    const_unless_loom! {
        /// Makes one that is free.
        pub fn new(function: *const (), argument: *const ()) -> Self {
            Self(Header::new_foreign(function, argument))
        }
    }

    /// Returns whether a run is still to begin. As [`Csd::is_pending`](crate::Csd::is_pending).
    ///
    /// Context: any. Progress: wait-free.
    pub fn is_pending(&self) -> bool {
        self.0.state.look_racy().is_pending()
    }
}

impl core::fmt::Debug for ForeignCsd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ForeignCsd").field("pending", &self.is_pending()).finish_non_exhaustive()
    }
}

/// Something in a queue that is no csd: a link, and four bytes of which bits 4–7 are 0x20 or 0x30.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use smpcall::{Budget, Entry, Foreign, Flushed};
/// # use std::sync::atomic::{AtomicUsize, Ordering};
/// /// A kernel's own work, in C's layout: a link, and flags whose bits 4 to 7 are 0x20.
/// #[repr(C, align(32))]
/// struct IrqWork { link: usize, flags: u32, rest: [u32; 5] }
///
/// static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// struct Port;
/// impl Foreign for Port {
///     unsafe fn take_entry(&self, entry: *const Entry) { TAKEN.store(entry.addr(), Ordering::Relaxed); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port: Waiting, Reporting, Tracing, Topology, Tuning, Hosting);
/// # let smp = one::machine(Port);
/// # let mut cpu = smp.as_ref().online().unwrap();
/// let work = IrqWork { link: 0, flags: 0x20, rest: [0; 5] };
/// let entry = (&raw const work).cast::<Entry>();
/// // SAFETY: it is in no queue, stays here until the flush has handed it over, and has room for an `Entry`.
/// assert!(unsafe { smp.push_entry(0, &*entry) });
/// let _ = cpu.flush(Budget::DEFAULT);
/// assert_eq!(TAKEN.load(Ordering::Relaxed), entry.addr());
/// # assert_eq!((work.link, work.rest), (0, [0; 5]));
/// ```
#[repr(transparent)]
pub struct Entry(pub(crate) Header);

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}
