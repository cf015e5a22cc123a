//! When a wait has taken too long: the clock of its reports.

use crate::platform::Platform;

/// The most that two looks of a waiter may lie apart, beyond the sleep between them, for the time to count.
const LOOK_NS_MAX: u64 = 100_000_000;
/// Or an eighth of the shorter time-out, if that is less; but never less than this.
const LOOK_NS_MIN: u64 = 10_000_000;

/// When the next report is due: after the time-out, then twice as long, and so on; and when to stop.
///
/// Time in which the waiter itself did not run does not count: the whole process was stopped (SIGSTOP, a debugger, a virtual
/// machine that was paused), and so perhaps was the target. The waiter knows by the distance of two looks. Where it [may be
/// stopped](crate::Hosting::MAY_BE_STOPPED) it sleeps for an eighth of the shorter time-out at a time, since it cannot tell for which part
/// of a sleep it was.
pub(super) struct StallClock {
    started_ns: u64,
    /// The last look.
    seen_ns: u64,
    /// How much did not count so far.
    away_ns: u64,
    /// How far two looks may lie apart.
    look_ns: u64,
    /// How long a sleep may be.
    pub(super) sleep_ns: u64,
    pub(super) next_ns: u64,
    gap_ns: u64,
    pub(super) reports: u32,
    /// The CPU that the last report named first.
    pub(super) named: u32,
    pub(super) stop_ns: u64,
    pub(super) stop: bool,
}

impl StallClock {
    /// A time-out of 0 is none.
    pub(super) fn new<P: Platform>(now_ns: u64, timeout_ns: u64, stop_ns: u64) -> Self {
        let after = |ns| if ns == 0 { u64::MAX } else { now_ns.saturating_add(ns) };
        // 0 wraps to the most.
        let eighth_ns = timeout_ns.wrapping_sub(1).min(stop_ns.wrapping_sub(1)) / 8;
        Self {
            started_ns: now_ns,
            seen_ns: now_ns,
            away_ns: 0,
            look_ns: eighth_ns.clamp(LOOK_NS_MIN, LOOK_NS_MAX),
            sleep_ns: if P::MAY_BE_STOPPED { eighth_ns.max(LOOK_NS_MIN) } else { u64::MAX },
            next_ns: after(timeout_ns),
            gap_ns: timeout_ns,
            reports: 0,
            named: 0,
            stop_ns: after(stop_ns),
            stop: false,
        }
    }

    /// Takes note of a look, after a sleep that was to take `slept_ns`.
    pub(super) fn look(&mut self, now_ns: u64, slept_ns: u64) {
        let may_ns = self.look_ns.saturating_add(slept_ns);
        let away_ns = now_ns.saturating_sub(self.seen_ns).saturating_sub(may_ns);
        self.seen_ns = now_ns;
        self.away_ns += away_ns;
        for due_ns in [&mut self.next_ns, &mut self.stop_ns] {
            // `u64::MAX` is never.
            *due_ns = due_ns.saturating_add(away_ns);
        }
    }

    /// How long the wait has gone on, as far as it counts.
    pub(super) fn waited_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.started_ns).saturating_sub(self.away_ns)
    }

    pub(super) fn due(&mut self, now_ns: u64) -> bool {
        // Two clocks in one: `u64::MAX` is never.
        if now_ns >= self.stop_ns && self.stop_ns != u64::MAX {
            self.stop = true;
            return true;
        }
        if now_ns < self.next_ns {
            return false;
        }
        self.gap_ns = self.gap_ns.saturating_mul(2);
        self.next_ns = now_ns.saturating_add(self.gap_ns);
        true
    }
}
