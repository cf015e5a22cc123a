//! The watchdog: CPUs whose queues do not move, also if nobody waits (P10). Linux watches waiters only.
//!
//! The fast paths know nothing of it. It keeps notes of its own, one [`Watch`] for each CPU, and at each visit compares two
//! words that are there anyway: the queue's head, and the count of runs that have ended. A CPU is *held up* if it has
//! something to do, a list in its head or a function under way, at one visit after another, and no run has ended between
//! them. A list that was taken is run, cancelled calls too, so a count that stands still means that the list was not taken,
//! or that its first function has not returned. What a flush left over at its budget counts as queued: it waits for the
//! doorbell that the flush rang for itself.
//!
//! Looks only, all of them racy: it decides nothing but whether to report and to ring once more, which is harmless.

use super::Smp;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::stall::{QueueStall, StallCause};

/// What a watchdog remembers of one CPU between visits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// For how long it has been held up, and how many runs had ended when that began.
    held: Option<(u64, usize)>,
    /// The last visit, and how much of the time before it counted.
    seen: Option<(u64, u64)>,
    reports: u32,
}

impl Watch {
    /// A CPU that was never looked at.
    ///
    /// Example: [`Smp::watchdog`](crate::Smp::watchdog).
    pub const fn new() -> Self {
        Self { held: None, seen: None, reports: 0 }
    }

    /// Returns how much of the time since the last visit counts: not that in which the watchdog did not run either, since the
    /// whole process was stopped. It knows by a gap that is more than twice the one before, and no small part of the time-out.
    fn visit(&mut self, now_ns: u64, timeout_ns: u64) -> u64 {
        let (seen_ns, before_ns) = self.seen.unwrap_or((now_ns, 0));
        let most_ns = before_ns.saturating_mul(2).max(timeout_ns / 8);
        let gap_ns = now_ns.saturating_sub(seen_ns).min(most_ns);
        self.seen = Some((now_ns, gap_ns));
        gap_ns
    }

    /// Takes note of a look, and says whether to report, after how long. The first report comes after the time-out, the
    /// next after twice that, and so on.
    fn look(
        &mut self,
        cause: Option<StallCause>,
        ended: usize,
        now_ns: u64,
        timeout_ns: u64,
    ) -> Option<(StallCause, u64)> {
        let gap_ns = self.visit(now_ns, timeout_ns);
        let held = self.held.map(|(for_ns, before)| (for_ns.saturating_add(gap_ns), before));
        match (cause, held) {
            (Some(cause), Some((for_ns, before))) if before == ended => {
                self.held = held;
                let due_ns = timeout_ns.saturating_mul((2 << self.reports.min(62)) - 1);
                (for_ns >= due_ns).then_some((cause, for_ns))
            }
            (cause, held) => {
                self.held = cause.map(|_| (0, ended));
                held.filter(|_| self.reports > 0).map(|(for_ns, _)| (StallCause::Over, for_ns))
            }
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Looks at every CPU once, and reports those to [`Reporting::queue_stalled`](crate::Reporting::queue_stalled) that have been held up for `timeout_ns` as far as
    /// `notes` tell: calls are queued or running, and none has ended. Rings a CPU again that runs no call. Returns how many
    /// CPUs are held up for so long, reported now or before; 0 for a time-out of 0, which is off.
    ///
    /// To be called now and then, by anybody: a timer, a thread, an idle loop. `notes` are that watchdog's own, one for each
    /// CPU by number; CPUs without a note are not looked at. What takes longer than the time between two visits is found, at
    /// the visit after. Time in which the watchdog itself did not run does not count: a gap between two visits counts for twice
    /// the gap before at most, or an eighth of the time-out if that is more. So visit more often than that, or find what is held
    /// up some visits later. The port's own time-out is [`Reporting::stall_timeout_ns`](crate::Reporting::stall_timeout_ns).
    ///
    /// Context: any in which `queue_stalled` may be called. Progress: wait-free; a few loads for each CPU.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage, Watch};
    ///
    /// const TIMEOUT_NS: u64 = 5_000_000_000;
    ///
    /// /// A thread of its own, twice a second.
    /// fn watch<P: Platform, S: Storage>(smp: &Smp<P, S>, half_a_second: impl Fn()) {
    ///     let mut notes = [const { Watch::new() }; 8];
    ///     while smp.watchdog(TIMEOUT_NS, &mut notes) == 0 {
    ///         half_a_second();
    ///     }
    /// }
    /// ```
    pub fn watchdog(&self, timeout_ns: u64, notes: &mut [Watch]) -> u32 {
        if timeout_ns == 0 {
            return 0;
        }
        let now_ns = self.platform.now_ns();
        let mut held_up = 0;
        for ((cpu, at), note) in (0..).zip(self.cpus()).zip(notes) {
            let (cause, ended) = (Self::held_up_by(at), at.running.ended());
            if let Some((cause, for_ns)) = note.look(cause, ended, now_ns, timeout_ns) {
                self.platform.queue_stalled(&QueueStall { cpu, cause, for_ns, reports: note.reports });
                note.reports = if cause == StallCause::Over { 0 } else { note.reports.saturating_add(1) };
                if matches!(cause, StallCause::Queued | StallCause::Unrung | StallCause::BehindBlocking(_)) {
                    self.ring_again(cpu, &at.mailbox.head);
                }
            }
            held_up += u32::from(note.reports > 0);
        }
        held_up
    }

    /// Returns the address of the function that `cpu` runs, if any, in call context or else in its thread for
    /// [`Smp::call_blocking`]: of this crate's function that was made for the caller's closure, as tracepoints and stall reports name
    /// it. Racy: it may have returned by the time the answer is read.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// use smpcall::{Platform, Smp, Storage};
    ///
    /// fn tell<P: Platform, S: Storage>(smp: &Smp<P, S>, cpu: u32) -> String {
    ///     match smp.running_racy(cpu) {
    ///         Some(at) => format!("CPU {cpu} runs the function at {at:#x}"), // for addr2line
    ///         None => format!("CPU {cpu} runs none"),
    ///     }
    /// }
    /// ```
    pub fn running_racy(&self, cpu: u32) -> Option<usize> {
        let running = &self.cpu(cpu)?.running;
        running.func_racy().or_else(|| running.blocking_func_racy()).map(<*const ()>::addr)
    }

    /// What a CPU has to do, if anything.
    fn held_up_by(cpu: &PerCpu) -> Option<StallCause> {
        match (cpu.running.func_racy(), Self::has_work(cpu)) {
            (Some(func), true) => Some(StallCause::Behind(func.addr())),
            (Some(func), false) => Some(StallCause::Running(func.addr())),
            (None, true) => Some(match cpu.running.blocking_func_racy() {
                Some(func) => StallCause::BehindBlocking(func.addr()),
                None if Self::is_unrung(cpu) => StallCause::Unrung,
                None => StallCause::Queued,
            }),
            (None, false) => None,
        }
    }
}
