//! What flushes left over.

use super::histogram::get;
use crate::sync::{AtomicUsize, Ordering, const_unless_loom};

/// What flushes left over when they stopped at their [budget](crate::Budget): how often, how much, and for how long.
///
/// What is left over right now, [`Smp::backlog_racy`](crate::Smp::backlog_racy) tells, too, and of any port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOver {
    /// Flushes that stopped. (Linux's `time_squeeze`, of a network device's queue.)
    pub flushes: u64,
    /// How often nothing was left over any more.
    pub caught_up: u64,
    /// The most calls that were left over at once by one CPU.
    pub most: u64,
    /// How many are left over now. Of CPUs without a row: by the last of them that said so.
    pub now: u64,
    /// The longest time that a CPU was behind, from the first flush that stopped, in ns; one that is behind still counts as far as its
    /// last flush. Only where the port stamps.
    pub longest_ns: u64,
}

impl LeftOver {
    pub(super) fn add(&mut self, more: &Self) {
        self.flushes += more.flushes;
        self.caught_up += more.caught_up;
        self.most = self.most.max(more.most);
        self.now += more.now;
        self.longest_ns = self.longest_ns.max(more.longest_ns);
    }
}

/// The counters.
pub(super) struct Backlogs {
    pub(super) flushes: AtomicUsize,
    pub(super) caught_up: AtomicUsize,
    most: AtomicUsize,
    now: AtomicUsize,
    longest_ns: AtomicUsize,
}

impl Backlogs {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                flushes: AtomicUsize::new(0),
                caught_up: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                now: AtomicUsize::new(0),
                longest_ns: AtomicUsize::new(0),
            }
        }
    }

    /// So much is left over, by a CPU that has been behind for so long.
    pub(super) fn behind(&self, len: u32, behind_ns: Option<u64>) {
        // Relaxed: the last value counts.
        self.now.store(len as usize, Ordering::Relaxed);
        // Relaxed: a count. A read-modify-write, since CPUs without a row share theirs.
        self.most.fetch_max(len as usize, Ordering::Relaxed);
        let behind_ns = usize::try_from(behind_ns.unwrap_or(0)).unwrap_or(usize::MAX);
        // Relaxed: as above.
        self.longest_ns.fetch_max(behind_ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LeftOver {
        LeftOver {
            flushes: get(&self.flushes),
            caught_up: get(&self.caught_up),
            most: get(&self.most),
            now: get(&self.now),
            longest_ns: get(&self.longest_ns),
        }
    }
}
