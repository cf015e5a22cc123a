//! What a machine keeps for each CPU, in cache lines by who writes them.
//!
//! | lines | written by | read by |
//! |---|---|---|
//! | `mailbox`: the queue's head, and one waiting call | posters and the owner | posters and the owner |
//! | `wakes` | rarely, whoever waits for a csd; then the owner | the owner |
//! | `own`, two | the owner; lazy posters their list's head | the owner; what a flush left over, also the watchdog |
//! | `callers_line`: whose the mailbox's slot is; how far the CPU is behind; a relay (`relay.rs`) | callers; the owner when a flush stops at its budget; who multicasts to this CPU's group | the same; posters that hold back |
//! | `detached`: slots for detached calls, four | posters, then the owner; the later ones seldom, since the first that is free is taken | the owner |
//! | `running` | the owner | whoever waits for, or reports on, a run or an acknowledgement |
//!
//! Some CPUs fetch lines in pairs. So those that are written often by different sides lie in different pairs: beside the mailbox are the
//! wakes, and beside `running` is the last of the detached calls' slots.
//!
//! Storage is the user's: an array, a boxed slice, or a `&'static mut` slice that a kernel carved out at start. It is
//! taken by value, so that no CPU has two owners; a machine of N CPUs takes `N × size_of::<PerCpu>()` bytes (P13).
//!
//! # Invariants
//!
//! - **I13** What is linked in a CPU's queue may lie in the CPU's own memory here (a detached call's slot). So a CPU comes online
//!   only in a machine that is pinned: [`Machine::online`](crate::Machine::online) takes a `Pin`, and a machine is `!Unpin`. Neither an
//!   array nor a box of [`PerCpu`] is moved from then on.
//! - **I20** While a frame of this crate that uses a CPU's memory as its owner lies on that CPU's stack below code of the user's,
//!   that CPU neither comes online nor goes offline: the code runs in call context, or is counted in [`Own::frames`]
//!   ([`crate::smp`]'s `context`). So a thread that is asked to stop being that CPU, and asks the machine first, is refused.

mod backlog;
mod batch;
mod line;
mod own;
mod running;
mod storage;

pub(crate) use self::backlog::{Backlog, Behind};
pub(crate) use self::batch::Batch;
pub(crate) use self::line::Line;
pub(crate) use self::own::Own;
pub(crate) use self::running::Running;
pub use self::storage::Storage;

use crate::detached::DetachedSlots;
use crate::mailbox::{CallersLine, Mailbox};
use crate::sync::const_unless_loom;
use crate::wake::Wakes;
#[cfg(all(not(loom), target_pointer_width = "64"))]
use core::mem::offset_of;

/// The most CPUs that a machine can have.
pub const CPUS_MAX: usize = 8192;

/// One CPU's part of a machine's memory.
#[repr(C, align(128))]
pub struct PerCpu {
    pub(crate) mailbox: Mailbox,
    pub(crate) wakes: Wakes,
    pub(crate) own: Line<Own>,
    pub(crate) callers_line: CallersLine,
    pub(crate) detached: DetachedSlots,
    pub(crate) running: Running,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = {
    assert!(offset_of!(PerCpu, wakes) == 64, "beside the mailbox");
    assert!(offset_of!(PerCpu, callers_line) == 256 && offset_of!(PerCpu, detached) == 320, "a line");
    assert!(offset_of!(PerCpu, running) == 576 && size_of::<Running>() == 64, "a line, beside the last slot");
    assert!(size_of::<PerCpu>() == 640, "P13");
};

impl PerCpu {
    const_unless_loom! {
        /// A CPU that never came online.
        ///
        /// Example: [`Machine::with_storage`](crate::Machine::with_storage).
        pub fn new() -> Self {
            Self {
                mailbox: Mailbox::new(),
                wakes: Wakes::new(),
                own: Line::new(Own::new()),
                callers_line: CallersLine::new(),
                detached: DetachedSlots::new(),
                running: Running::new(),
            }
        }
    }

    /// Returns whether the CPU has to acknowledge one of these slots (I18). Racy: it may have done so by the time this is read.
    pub(crate) fn has_pending_racy(&self, slots: usize) -> bool {
        // In this order: what is not in the mailbox any more was taken.
        self.mailbox.callers.has_racy(slots) || self.running.collected.has_racy(slots)
    }
}

impl Default for PerCpu {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for PerCpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PerCpu").field("head", &self.mailbox.head.look()).finish_non_exhaustive()
    }
}
