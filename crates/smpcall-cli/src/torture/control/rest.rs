//! Coming to rest, and what is checked there.
//!
//! At rest no post is under way: every thread has said so, no signal is on its way, and every CPU that is online sleeps on
//! its doorbell, as the kernel says. If something is still queued then, whoever should have rung did not: no matter how
//! loaded the machine is, a thread that is only off its core does not sleep.

use super::super::asleep::{self, Look};
use super::Control;
use anyhow::{Result, bail};
use smpcall_conformance::soak::{Check, Event};
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// CPUs that still have runs to do. `None` stands for some CPU, of which only that is known.
type Owing = BTreeSet<Option<u32>>;

/// Pauses between looks: first short, since most rests are reached at once.
const LOOK_EVERY_MIN: Duration = Duration::from_micros(50);
const LOOK_EVERY_MAX: Duration = Duration::from_millis(2);
/// If this thread was away for longer than that, the time does not count: the machine is loaded.
const AWAY_MAX: Duration = Duration::from_millis(20);

/// Knows for how long nothing has moved. Time during which this thread was off its core itself is left out.
pub(super) struct Watch {
    limit: Duration,
    still: Duration,
    last: Option<u64>,
    gap: Duration,
}

impl Watch {
    pub(super) fn new(limit_seconds: u64) -> Self {
        Self {
            limit: Duration::from_secs(limit_seconds),
            still: Duration::ZERO,
            last: None,
            gap: LOOK_EVERY_MIN,
        }
    }

    /// Pauses, and says whether `progress` has been the same for too long.
    pub(super) fn has_nothing_moved(&mut self, progress: u64) -> bool {
        let since = Instant::now();
        thread::sleep(self.gap);
        self.gap = (self.gap * 2).min(LOOK_EVERY_MAX);
        self.note(progress, since.elapsed())
    }

    fn note(&mut self, progress: u64, passed: Duration) -> bool {
        if self.last == Some(progress) {
            self.still += passed.min(AWAY_MAX);
        } else {
            self.last = Some(progress);
            self.still = Duration::ZERO;
        }
        self.still >= self.limit
    }
}

impl Control<'_> {
    /// Waits until everything is at rest.
    pub(super) fn come_to_rest(&mut self) -> Result<()> {
        let (soak, contexts) = (self.soak, &self.soak.rig().contexts);
        let mut watch = Watch::new(self.args.hang_seconds);
        loop {
            let resting = soak.resting();
            if resting == self.threads.len()
                && contexts.iter().all(|context| context.is_quiet())
                && self.all_sleep()?
            {
                return Ok(());
            }
            if let Some(ended) = self.threads.iter().position(|thread| thread.is_finished()) {
                match self.threads.swap_remove(ended).join() {
                    Ok(Err(error)) => return Err(error),
                    _ => bail!("a thread of the torture panicked"),
                }
            }
            let calls = soak.events(Event::Call);
            if watch.has_nothing_moved((calls + resting) as u64) {
                bail!(self.hangs("not everything comes to rest"));
            }
        }
    }

    /// Whether there was a moment at which every CPU that is online slept on its doorbell.
    fn all_sleep(&self) -> Result<bool> {
        let Some(first) = self.looks()? else { return Ok(false) };
        // Each slept from the first look to the second, so all did at the moment between.
        Ok(self.looks()? == Some(first))
    }

    /// A look at every CPU that is online; `None` if one is awake.
    fn looks(&self) -> Result<Option<Vec<Look>>> {
        let contexts = &self.soak.rig().contexts;
        let mut looks = Vec::with_capacity(contexts.len());
        for (context, number) in contexts.iter().zip(0..) {
            let cpu = self.soak.cpu(number);
            if !cpu.online.is_set() {
                continue;
            }
            if !context.parked.is_set() || cpu.is_in_function() {
                return Ok(None);
            }
            let look = asleep::look(context.kernel_thread.get() as u64)?;
            if !look.is_asleep {
                return Ok(None);
            }
            looks.push(look);
        }
        Ok(Some(looks))
    }

    /// Somebody sleeps who has work: if a ring helps, it was the ring that was missing. What runs then may post in turn, and
    /// its rings go missing too. Returns what no ring helped.
    fn ring_until_it_helps_no_more(&mut self, owing: &Owing) -> Result<Owing> {
        let mut owing = owing.clone();
        while !owing.is_empty() {
            let calls = self.soak.events(Event::Call);
            self.ring_all();
            self.come_to_rest()?;
            owing = self.soak.owing().collect();
            if self.soak.events(Event::Call) == calls {
                break;
            }
        }
        Ok(owing)
    }

    /// At rest: is everything done that was promised?
    pub(super) fn compare(&mut self) -> Result<()> {
        let (soak, row) = (self.soak, self.soak.drivers_row());
        let owing: Owing = soak.owing().collect();
        let still_owing = self.ring_until_it_helps_no_more(&owing)?;
        let lost = "slept with work in its queue, everybody else slept too, and nobody had rung it";
        let mut online = 0;
        for cpu in (0..soak.rig().machine.cpus_len()).filter(|cpu| soak.cpu(*cpu).online.is_set()) {
            online += 1;
            let rung = !owing.contains(&Some(cpu)) || still_owing.contains(&Some(cpu));
            soak.expect(row, Check::Doorbell, rung, format_args!("CPU {cpu} {lost}"));
        }
        if owing.contains(&None) && !still_owing.contains(&None) {
            soak.expect(row, Check::Doorbell, false, format_args!("a CPU {lost}"));
        }
        soak.expect(row, Check::Hotplug, online > 0, format_args!("no CPU is online"));
        if !soak.compare() {
            bail!("calls were lost, or ran too often; what comes after that says nothing");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_counts_in_which_nothing_moved_and_the_watch_was_there() {
        let mut watch = Watch::new(1);
        let ms = Duration::from_millis;
        assert!(!watch.note(1, ms(5)));
        assert!(!watch.note(1, ms(60_000)), "the watch was away itself");
        for _ in 0..48 {
            assert!(!watch.note(1, ms(20)));
        }
        assert!(!watch.note(2, ms(20)), "it moved");
        for _ in 0..49 {
            assert!(!watch.note(2, ms(20)));
        }
        assert!(watch.note(2, ms(20)));
    }
}
