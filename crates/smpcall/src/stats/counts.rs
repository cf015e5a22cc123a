//! What was counted, as a value.

use super::histogram::Histogram;
use super::left_over::LeftOver;

/// What was counted up to some moment. On a 32-bit machine the counts go round at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls that were queued: posts that were accepted, waiting calls, and each target of a multicast.
    pub queued: u64,
    /// Posts that were told Busy.
    pub busy: u64,
    /// Refusals of targets that were offline; a chain's counts once.
    pub refused: u64,
    /// Doorbells sent.
    pub rings: u64,
    /// Those of them that the port said could not be sent.
    pub unrung: u64,
    /// Pushes that needed none.
    pub saved: u64,
    /// Stall reports.
    pub stalls: u64,
    /// Calls that were run, or found cancelled.
    pub ran: u64,
    /// Batches that flushes took.
    pub batches: u64,
    /// How many calls were in a batch.
    pub batch_lens: Histogram,
    /// How long calls were queued, in ns; only where the port stamps.
    pub queued_ns: Histogram,
    /// How long functions ran, in ns; only where the port stamps.
    pub ran_ns: Histogram,
    /// What flushes left over at their budget.
    pub left_over: LeftOver,
}

impl Counts {
    pub(super) fn plus(mut self, more: &Self) -> Self {
        self.queued += more.queued;
        self.busy += more.busy;
        self.refused += more.refused;
        self.rings += more.rings;
        self.unrung += more.unrung;
        self.saved += more.saved;
        self.stalls += more.stalls;
        self.ran += more.ran;
        self.batches += more.batches;
        self.batch_lens.add(&more.batch_lens);
        self.queued_ns.add(&more.queued_ns);
        self.ran_ns.add(&more.ran_ns);
        self.left_over.add(&more.left_over);
        self
    }
}

impl core::fmt::Display for Counts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { queued, busy, refused, rings, unrung, saved, stalls, ran, batches, left_over, .. } = self;
        write!(
            f,
            "{queued} queued, {ran} ran, {busy} busy, {refused} refused, {rings} doorbells, {saved} saved, "
        )?;
        write!(f, "{batches} batches")?;
        for (name, histogram) in
            [("batch", &self.batch_lens), ("queued ns", &self.queued_ns), ("ran ns", &self.ran_ns)]
        {
            if let (Some(p50), Some(p99)) = (histogram.below(500), histogram.below(990)) {
                write!(f, ", {name} p50 < {p50} p99 < {p99}")?;
            }
        }
        if left_over.flushes > 0 {
            let LeftOver { flushes, most, longest_ns, .. } = left_over;
            write!(f, ", {flushes} flushes left over up to {most} for up to {longest_ns} ns")?;
        }
        if *unrung > 0 {
            write!(f, ", {unrung} doorbells failed")?;
        }
        write!(f, ", {stalls} stalls")
    }
}
