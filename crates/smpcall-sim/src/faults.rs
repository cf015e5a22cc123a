//! Bad hardware: [`Faults`] says how much of it, and [`Faulty`] is a port with it wrapped around the sound one.
//!
//! Every rate is from 0 (never) to 1 (always). Faults hold for the first phase of a run, in which nothing unsafe may happen;
//! then they end, and everything must finish.

mod befall;

pub(crate) use befall::befall;

use crate::engine::{Due, Engine, engine};
use crate::history::Fate;
use crate::port::{Virtual, send};
use crate::rng::Rng;
use smpcall_instrumented::{
    Backoff, CallStall, Event, Foreign, Hosting, Pause, Platform, Reporting, RingError, Topology, Tracing,
    Tuning, Waiting,
};
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// How often what goes wrong.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Faults {
            $($(#[doc = $doc])+ pub $name: f64,)+
        }

        impl Faults {
            /// The names of all, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// All rates, by name.
            pub fn rates(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($name), self.$name)),+]
            }

            /// One rate, by name.
            pub fn rate_mut(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

faults! {
    /// Of the doorbells: never arrive. (The stall path, or a waiter's own ring, finds what they were for.)
    lost,
    /// Of the doorbells: arrive hundreds of steps late, so that they also overtake one another.
    late,
    /// Of the doorbells: arrive twice, the second time late.
    doubled,
    /// Of the CPUs: get doorbells that nobody sent.
    spurious,
    /// Of the CPUs: run slowly.
    slow,
    /// Of the CPUs: are taken off, once or twice, for thousands of steps, wherever they are.
    stopped,
    /// Of the CPUs: end up in a loop with interrupts off, and never come back. (Everybody else must finish.)
    stuck,
    /// Of the ops: the CPU goes offline, and comes back.
    hotplug,
    /// Of the looks at the clock: it jumps ahead.
    clock_jump,
    /// Of the looks at the clock: it stands still for a while.
    clock_still,
    /// Of the functions: panic.
    panics,
    /// Of the functions: post another csd.
    reposts,
    /// Of the functions: multicast.
    multicasts,
    /// Of the functions: run long.
    long,
    /// Of the CPUs: get interrupts and NMIs that post.
    interrupts,
    /// Of the doorbells: cannot be sent, and the port says so. (Whoever comes next rings; who waits, by himself.)
    unsent,
}

impl Faults {
    /// None at all, but for interrupts that post, which are no fault.
    pub fn off() -> Self {
        Self { interrupts: 0.5, ..Self::default() }
    }

    /// Draws a mix: most runs have a few kinds of faults, so that each kind also meets an otherwise sound machine.
    pub(crate) fn draw(rng: &Rng, seed: u64) -> Self {
        let mut faults = Self::off();
        // By another stream: so seeds are what they were before there was this fault.
        let unsent = Rng::new(seed, 4);
        for name in Self::NAMES {
            let rng = if *name == "unsent" { &unsent } else { rng };
            // Doorbells that are lost end P7's strict check, so they are in a quarter of the runs only; so are those that are not sent.
            let share = match *name {
                "lost" | "stuck" | "unsent" => 0.25,
                "interrupts" => 0.6,
                _ => 0.4,
            };
            let rate = if rng.chance(share) { *rng.pick(&[0.05, 0.1, 0.3, 0.6]) } else { 0.0 };
            if let Some(place) = faults.rate_mut(name) {
                *place = rate;
            }
        }
        faults
    }
}

/// Why a list of rates was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFaults(String);

impl fmt::Display for BadFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFaults {}

impl FromStr for Faults {
    type Err = BadFaults;

    /// Reads `lost=0.1,late=0.5`: the others are 0.
    fn from_str(text: &str) -> Result<Self, BadFaults> {
        let mut faults = Self::default();
        for pair in text.split(',') {
            let (name, rate) =
                pair.split_once('=').ok_or_else(|| BadFaults(format!("`{pair}` is not NAME=RATE")))?;
            let place = faults.rate_mut(name).ok_or_else(|| {
                BadFaults(format!("there is no fault `{name}`; there are {}", Self::NAMES.join(", ")))
            })?;
            let rate: f64 =
                rate.parse().map_err(|_| BadFaults(format!("the rate of `{name}` is not a number")))?;
            if !(0.0..=1.0).contains(&rate) {
                return Err(BadFaults(format!("the rate of `{name}` is {rate}; rates are from 0 to 1")));
            }
            *place = rate;
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<String> = self
            .rates()
            .into_iter()
            .filter(|(_, rate)| *rate > 0.0)
            .map(|(name, rate)| format!("{name}={rate}"))
            .collect();
        f.write_str(if some.is_empty() { "none" } else { "" })?;
        f.write_str(&some.join(","))
    }
}

/// The faults of one run, as the port meets them.
#[derive(Debug)]
pub(crate) struct Faulty<const PARKS: bool, const COUNTS: bool> {
    port: Virtual<PARKS, COUNTS>,
    faults: Faults,
    rng: Rng,
    on: Cell<bool>,
    /// Doorbells that never arrived.
    lost: Cell<u32>,
    /// Doorbells that could not be sent.
    unsent: Cell<u32>,
    /// How far the clock is ahead of the steps'.
    ahead_ns: Cell<u64>,
    /// It stands still until the steps' clock says so.
    still_until_ns: Cell<u64>,
    shown_ns: Cell<u64>,
}

impl<const PARKS: bool, const COUNTS: bool> Faulty<PARKS, COUNTS> {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            port: Virtual,
            faults,
            rng: Rng::new(seed, 2),
            on: Cell::new(true),
            lost: Cell::new(0),
            unsent: Cell::new(0),
            ahead_ns: Cell::new(0),
            still_until_ns: Cell::new(0),
            shown_ns: Cell::new(0),
        }
    }

    /// Faults end here.
    pub(crate) fn heal(&self) {
        self.on.set(false);
        self.still_until_ns.set(0);
    }

    pub(crate) fn unsent(&self) -> u32 {
        self.unsent.get()
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost.get()
    }

    fn fate(&self) -> Fate {
        let Faults { unsent, lost, late, doubled, .. } = self.faults;
        match () {
            () if !self.on.get() => Fate::Arrives,
            () if unsent > 0.0 && self.rng.chance(unsent) => Fate::Unsent,
            () if self.rng.chance(lost) => Fate::Lost,
            () if self.rng.chance(late) => Fate::Late(self.rng.between(1, 600) as u64),
            () if self.rng.chance(doubled) => Fate::Doubled,
            () => Fate::Arrives,
        }
    }

    /// Sends a doorbell, which then `arrives`, or does not.
    fn send(&self, cpu: u32, arrives: fn(&Engine, usize)) -> Result<(), RingError> {
        let (engine, to) = (engine(), cpu as usize);
        let fate = self.fate();
        send(cpu, fate);
        match fate {
            Fate::Arrives => arrives(engine, to),
            Fate::Lost => self.lost.set(self.lost.get() + 1),
            Fate::Unsent => {
                self.unsent.set(self.unsent.get() + 1);
                return Err(RingError);
            }
            Fate::Late(steps) => engine.later(steps, Due::Ring(to)),
            Fate::Doubled => {
                arrives(engine, to);
                engine.later(self.rng.between(1, 300) as u64, Due::Ring(to));
            }
        }
        Ok(())
    }
}

// SAFETY: as for the port inside. Late, doubled and spurious doorbells are harmless, and a lost one delays (rule 3); a clock
// that jumps or stands still is still monotonic.
unsafe impl<const PARKS: bool, const COUNTS: bool> Platform for Faulty<PARKS, COUNTS> {
    type IrqState = ();
    type Panic = <Virtual<PARKS> as Platform>::Panic;

    #[inline]
    fn current_cpu(&self) -> Option<u32> {
        self.port.current_cpu()
    }

    fn can_wait(&self) -> bool {
        self.port.can_wait()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.send(cpu, Engine::rung)
    }

    fn irq_save(&self) {
        self.port.irq_save();
    }

    fn irq_restore(&self, (): ()) {
        self.port.irq_restore(());
    }

    fn relax(&self) {
        self.port.relax();
    }

    fn now_ns(&self) -> u64 {
        let real_ns = self.port.now_ns();
        if self.on.get() && self.rng.chance(self.faults.clock_jump) {
            self.ahead_ns.set(self.ahead_ns.get() + self.rng.between(1, 200_000) as u64);
        }
        if self.on.get() && self.rng.chance(self.faults.clock_still) {
            self.still_until_ns.set(real_ns + self.rng.between(1, 20_000) as u64);
        }
        if real_ns >= self.still_until_ns.get() {
            self.shown_ns.set(self.shown_ns.get().max(real_ns + self.ahead_ns.get()));
        }
        self.shown_ns.get()
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        Virtual::<PARKS>::catch(f)
    }

    fn resume(panic: Self::Panic) -> ! {
        Virtual::<PARKS>::resume(panic)
    }
}

impl<const PARKS: bool, const COUNTS: bool> Waiting for Faulty<PARKS, COUNTS> {
    const PARKS: bool = PARKS;

    fn pause(&self, backoff: &Backoff) -> Pause {
        self.port.pause(backoff)
    }

    fn waiter(&self) -> Option<u16> {
        self.port.waiter()
    }

    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        self.port.park(waiter, timeout_ns);
    }

    fn wake(&self, waiter: u16) {
        self.port.wake(waiter);
    }
}

impl<const PARKS: bool, const COUNTS: bool> Reporting for Faulty<PARKS, COUNTS> {
    fn caught(&self, panic: <Self as Platform>::Panic) {
        self.port.caught(panic);
    }

    fn stall_timeout_ns(&self) -> u64 {
        self.port.stall_timeout_ns()
    }

    fn call_stalled(&self, stall: &CallStall) {
        self.port.call_stalled(stall);
    }
}

impl<const PARKS: bool, const COUNTS: bool> Tracing for Faulty<PARKS, COUNTS> {
    const TRACES: bool = COUNTS;
    const STAMPS: bool = COUNTS;

    fn trace(&self, event: &Event) {
        self.port.trace(event);
    }
}

impl<const PARKS: bool, const COUNTS: bool> Topology for Faulty<PARKS, COUNTS> {
    // Machines of 8 CPUs relay multicasts, where real ones of 128 do.
    const GROUP: u32 = 4;
    const RELAYED_MIN: u32 = 2;

    fn ring_self(&self, cpu: u32) -> Result<(), RingError> {
        self.send(cpu, Engine::rung_by_itself)
    }

    fn nearest(&self, cpu: u32, mut among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        // Pairs are neighbours.
        Iterator::find(&mut among, |other| *other == cpu ^ 1)
    }
}

impl<const PARKS: bool, const COUNTS: bool> Tuning for Faulty<PARKS, COUNTS> {
    fn gather(&self) {
        self.port.gather();
    }

    fn looks_first(&self, target: u32) -> u32 {
        self.port.looks_first(target)
    }
}

impl<const PARKS: bool, const COUNTS: bool> Foreign for Faulty<PARKS, COUNTS> {}
impl<const PARKS: bool, const COUNTS: bool> Hosting for Faulty<PARKS, COUNTS> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        let faults: Faults = "lost=0.25,late=1".parse().unwrap();
        assert_eq!((faults.lost, faults.late, faults.slow), (0.25, 1.0, 0.0));
        assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        for (bad, named) in [
            ("", "not NAME=RATE"),
            ("lost", "not NAME=RATE"),
            ("gone=0.1", "no fault `gone`"),
            ("lost=x", "not a number"),
            ("lost=1.5", "from 0 to 1"),
            ("lost=-0.1", "from 0 to 1"),
            ("lost=nan", "from 0 to 1"),
        ] {
            let error = bad.parse::<Faults>().unwrap_err().to_string();
            assert!(error.contains(named), "{bad}: {error}");
        }
    }
}
