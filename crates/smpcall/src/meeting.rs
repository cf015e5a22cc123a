//! A rendezvous: its CPUs are held in call context, until whoever called them together has run a function.
//!
//! A machine has one *gate*, which says whether a rendezvous is under way: two at a time would hold each other for ever. CPUs that come
//! online pass it too, so that none appears in the middle of one. The *meeting* is in the caller's frame: who has arrived, and whether
//! it is over.
//!
//! # States of the gate
//!
//! | value | meaning |
//! |---|---|
//! | 0 | nothing |
//! | 2 × n | n CPUs are coming online; no rendezvous begins |
//! | odd | a rendezvous is under way; a CPU that wants to come online is refused |
//!
//! # Invariants
//!
//! - **I41** From [`claim`](Gate::claim) to [`let_go`](Gate::let_go) no CPU comes online, and nobody else claims. So whom the
//!   rendezvous finds offline stays offline until it is over.
//! - **I42** A CPU that has [arrived](Meeting::arrive) runs nothing else before it sees the [end](Meeting::end); only its acknowledgement comes
//!   after that (I10). So between the look that finds all arrived and the end, of all that are meant only the caller runs.
//!
//! # Orderings
//!
//! | site | order | partner | weaker: what breaks |
//! |---|---|---|---|
//! | `claim` | Acquire | `came`, `let_go` | a CPU that has just come online is taken for offline, and is not held; the last rendezvous' writes are missed |
//! | `let_go` | Release | `claim`, `come` | the other half; a CPU that comes online misses what the function wrote |
//! | `come` | Acquire | `let_go` | the other half of that |
//! | `come`, refused | Relaxed | – | – |
//! | `came` | Release | `claim` | as there |
//! | `arrive` | Release | `arrived` | the function misses what a held CPU did before |
//! | `arrived` | Acquire | `arrive` | the same |
//! | `end` | Release | `is_over` | a held CPU goes on without what the function wrote |
//! | `is_over` | Acquire | `end` | the same |
//!
//! A CPU that comes online, both ways: *if it passes the gate first*, nobody claims before it is online, and it is held like the others.
//! *If the claim comes first*, it is refused.

use crate::sync::{AtomicU32, AtomicUsize, Ordering, const_unless_loom};

/// A rendezvous is under way.
const HELD: usize = 1;
/// One CPU is coming online.
const COMING: usize = 2;

/// Whether a machine's CPUs are being called together.
#[derive(Debug)]
pub(crate) struct Gate {
    state: AtomicUsize,
    /// Whose rendezvous it is, or was last: for reports.
    holder: AtomicU32,
}

impl Gate {
    const_unless_loom! {
        pub(crate) fn new() -> Self { Self { state: AtomicUsize::new(0), holder: AtomicU32::new(0) } }
    }

    /// Begins a rendezvous, if none is under way, and nobody comes online.
    pub(crate) fn claim(&self, cpu: u32) -> bool {
        // Acquire: sees the queues of those who came online as open, and what the last rendezvous wrote; pairs with `came` and `let_go`.
        // Failure Relaxed: somebody else was faster.
        let is_ours = self.state.compare_exchange(0, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if is_ours {
            // Relaxed: a hint.
            self.holder.store(cpu, Ordering::Relaxed);
        }
        is_ours
    }

    /// Whose it is, or was last.
    pub(crate) fn holder_racy(&self) -> u32 {
        // Relaxed: a hint, old by the time it is read.
        self.holder.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub(crate) fn let_go(&self) {
        // Release: publishes what the function wrote to the next one, and to those who come online; pairs with `claim` and `come`.
        self.state.fetch_sub(HELD, Ordering::Release);
    }

    /// A CPU is coming online; `false`: not now.
    pub(crate) fn come(&self) -> bool {
        // Acquire: sees what the last rendezvous wrote; pairs with `let_go`.
        if self.state.fetch_add(COMING, Ordering::Acquire) & HELD == 0 {
            return true;
        }
        // Relaxed: nothing was done.
        self.state.fetch_sub(COMING, Ordering::Relaxed);
        false
    }

    /// It is online, or was so already.
    pub(crate) fn came(&self) {
        // Release: publishes its open queue; pairs with `claim`.
        let before = self.state.fetch_sub(COMING, Ordering::Release);
        debug_assert!(before & HELD == 0 && before >= COMING, "I41: who came had been let through");
    }
}

/// One rendezvous, in its caller's frame.
pub(crate) struct Meeting {
    arrived: AtomicU32,
    over: AtomicU32,
}

impl Meeting {
    pub(crate) fn new() -> Self {
        Self { arrived: AtomicU32::new(0), over: AtomicU32::new(0) }
    }

    /// Target: is here, and does nothing until it [is over](Self::is_over) (I42).
    pub(crate) fn arrive(&self) {
        // Release: publishes what this CPU did before; pairs with `arrived`.
        self.arrived.fetch_add(1, Ordering::Release);
    }

    /// Caller: how many are here.
    pub(crate) fn arrived(&self) -> u32 {
        // Acquire: sees what they did before; pairs with `arrive`.
        self.arrived.load(Ordering::Acquire)
    }

    /// Caller: lets them go on; also those who come late.
    pub(crate) fn end(&self) {
        // Release: publishes what the function wrote; pairs with `is_over`.
        self.over.store(1, Ordering::Release);
    }

    /// Target: whether it may go on.
    pub(crate) fn is_over(&self) -> bool {
        // Acquire: sees what the function wrote; pairs with `end`.
        self.over.load(Ordering::Acquire) != 0
    }
}

/// Under loom, to leave a frame is to write to all of it: whoever still touches it fails the model.
#[cfg(loom)]
impl Drop for Meeting {
    fn drop(&mut self) {
        self.arrived.leave();
        self.over.leave();
    }
}
