//! Coming to rest, and what is checked there.
//!
//! At rest no post is under way: every thread has said so, no signal is on its way, and every CPU that is online sleeps on
//! its doorbell, as the kernel says. If something is still queued then, whoever should have rung did not: no matter how
//! loaded the machine is, a thread that is only off its core does not sleep.

use super::super::asleep::{self, Look};
use super::super::kinds::KINDS;
use super::super::tally::{Check, Event};
use super::super::verdict::{self, Owing};
use super::super::world::{Kit, World};
use super::Control;
use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

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
        let (ground, stations) = (self.world.ground, &self.world.stations);
        let mut watch = Watch::new(self.args.hang_seconds);
        loop {
            let resting = ground.stage.resting();
            if resting == self.threads.len() as u64
                && stations.iter().all(|station| station.is_quiet())
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
            let calls = ground.tally.events(Event::Call);
            if watch.has_nothing_moved(calls + resting) {
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
        let ground = self.world.ground;
        let mut looks = Vec::with_capacity(self.world.stations.len());
        for (station, number) in self.world.stations.iter().zip(0..) {
            let cpu = ground.cpu(number);
            if !cpu.online.is_set() {
                continue;
            }
            if !cpu.parked.is_set() || ground.is_in_function(number) {
                return Ok(None);
            }
            let look = asleep::look(station.kernel_thread.get())?;
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
            let calls = self.world.ground.tally.events(Event::Call);
            self.ring_all();
            self.come_to_rest()?;
            owing = verdict::owing(self.world);
            if self.world.ground.tally.events(Event::Call) == calls {
                break;
            }
        }
        Ok(owing)
    }

    /// At rest: is everything done that was promised?
    pub(super) fn compare(&mut self) -> Result<()> {
        let (ground, row) = (self.world.ground, self.row());
        ground.tally.event(row, Event::Rest, 1);
        let owing = verdict::owing(self.world);
        let still_owing = self.ring_until_it_helps_no_more(&owing)?;
        let mut online = 0;
        for cpu in (0..ground.cpus_len()).filter(|cpu| ground.cpu(*cpu).online.is_set()) {
            online += 1;
            let rung = !owing.contains(&Some(cpu)) || still_owing.contains(&Some(cpu));
            ground.tally.expect(row, Check::Doorbell, rung, || {
                format!(
                    "CPU {cpu} slept with work in its queue, everybody else slept too, and nobody had rung it"
                )
            });
        }
        if owing.contains(&None) && !still_owing.contains(&None) {
            ground.tally.expect(row, Check::Doorbell, false, || {
                "a CPU slept with work in its queue, everybody else slept too, and nobody had rung it"
                    .to_owned()
            });
        }
        ground.tally.expect(row, Check::Hotplug, online > 0, || "no CPU is online".to_owned());
        if !verdict::compare(self.world, row) {
            bail!("calls were lost, or ran too often; what comes after that says nothing");
        }
        Ok(())
    }
}

/// One thread's state, for the report on a run that hangs.
pub(super) fn state_of(world: &World, kit: &Kit) -> String {
    let doing = match kit.doing.get().checked_sub(1) {
        Some(kind) => KINDS[kind as usize].name,
        None => "nothing",
    };
    let with = match kit.with.get().checked_sub(1) {
        Some(cpu) => format!(", waiting for CPU {cpu}"),
        None => String::new(),
    };
    let Some(number) = kit.cpu else { return format!("a thread that only calls: doing {doing}{with}") };
    let cpu = world.ground.cpu(number);
    let online = if world.ground.machine.is_online_racy(number) { "online" } else { "offline" };
    let parked = if cpu.parked.is_set() { ", parked" } else { "" };
    let inside = if world.ground.is_in_function(number) { ", in a function" } else { "" };
    let sleeps = match asleep::look(world.stations[number as usize].kernel_thread.get()) {
        Ok(look) if look.is_asleep => "asleep",
        Ok(_) => "awake",
        Err(_) => "gone",
    };
    format!("CPU {number}: {online}{parked}{inside}, its thread is {sleeps}, doing {doing}{with}")
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
