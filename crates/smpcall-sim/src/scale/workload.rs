//! What is run: the same shapes of calls under both algorithms.

use super::cost::{Cost, Ps, ps};
use super::linux::Linux;
use super::machine::{Body, Counts, machine};
use super::ours::Ours;
use crate::rng::Rng;
use smpcall_instrumented::CpuMask;
use std::cell::Cell;
use std::rc::Rc;

/// What an algorithm offers.
pub(super) trait Calls {
    /// Each CPU, before anything else.
    fn online(&self);
    /// Runs something that takes `time` on `cpu`, and waits.
    fn call(&self, cpu: u32, time: Ps);
    /// Has something run on `cpu`, and does not wait.
    fn post(&self, cpu: u32, function: Rc<dyn Fn()>);
    /// Runs something that takes `time` on all other CPUs, or those of a mask, and waits.
    fn call_many(&self, to: Option<&CpuMask>, time: Ps);
    /// The interrupt's handler.
    fn flush(&self);
}

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The core, as it is.
    Ours,
    /// As Linux makes them.
    Linux,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Linux];

    /// For tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "smpcall",
            Self::Linux => "linux",
        }
    }
}

/// A shape of calls. All targets run something else, with interrupts on: each must be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A waiting call from the first CPU to the last.
    Call,
    /// Every other CPU posts one call to the first, at the same time; until the last has run.
    AllToOne,
    /// A waiting multicast to all others.
    Multicast,
    /// Waiting multicasts to masks of up to 16 CPUs, by one CPU in 64 at the same time, as when TLB entries are thrown out.
    Shootdown,
    /// Everybody multicasts to all others, waiting, at the same time; until the last has its answers.
    Everybody,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Call, Self::AllToOne, Self::Multicast, Self::Shootdown, Self::Everybody];

    /// For tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::AllToOne => "all-to-one",
            Self::Multicast => "multicast",
            Self::Shootdown => "shootdown",
            Self::Everybody => "everybody",
        }
    }

    /// In a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Call => "a waiting call to a CPU that runs something else",
            Self::AllToOne => "all others post to one CPU at the same time, until the last has run",
            Self::Multicast => "a waiting multicast to all others",
            Self::Shootdown => "waiting multicasts to 16 CPUs, by one CPU in 64 at the same time",
            Self::Everybody => "everybody multicasts to all others at the same time, until the last is done",
        }
    }

    /// The largest machine on which it is run: N CPUs that multicast to N make N × N runs.
    pub fn cpus_max(self) -> u32 {
        if self == Self::Everybody { 512 } else { 8192 }
    }

    /// Whether a CPU starts calls.
    fn sends(self, cpu: u32) -> bool {
        match self {
            Self::Call | Self::Multicast => cpu == 0,
            Self::AllToOne => cpu != 0,
            Self::Shootdown => cpu.is_multiple_of(64),
            Self::Everybody => true,
        }
    }
}

/// What a workload took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// How many CPUs the machine has.
    pub cpus: u32,
    /// From the call to its end; the mean. All of `AllToOne` and of `Everybody` count as one.
    pub ns: f64,
    /// Cache lines that moved, a call.
    pub transfers: f64,
    /// Interrupts, a call.
    pub doorbells: f64,
    /// What the machine's memory for calls takes.
    pub bytes: u64,
}

/// Everybody begins when all are online.
pub(super) const START: Ps = 1_000_000_000;

/// Between two rounds; longer than a handler takes to its end.
const REST: Ps = 20_000_000;

/// Adds up what was measured.
#[derive(Default)]
struct Tally {
    before: Cell<Option<Counts>>,
    ps: Cell<Ps>,
    calls: Cell<u32>,
}

impl Tally {
    /// What is counted begins now, unless it has begun.
    fn begin(&self) {
        if self.before.get().is_none() {
            self.before.set(Some(machine().counts()));
        }
    }

    fn add(&self, time: Ps) {
        self.ps.set(self.ps.get() + time);
        self.calls.set(self.calls.get() + 1);
    }

    /// Of what counts as one: it has not ended before now.
    fn not_before(&self, now: Ps) {
        self.ps.set(self.ps.get().max(now - START));
        self.calls.set(1);
    }
}

/// Runs a workload on a machine of `cpus` CPUs.
///
/// # Panics
///
/// If `cpus` is not 2 to 8192.
pub fn price(workload: Workload, algorithm: Algorithm, cpus: u32, cost: &Cost) -> Price {
    assert!((2..=8192).contains(&cpus), "2 to 8192 CPUs");
    let (calls, bytes): (Rc<dyn Calls>, u64) = match algorithm {
        Algorithm::Ours => (Rc::new(Ours::new(cpus)), Ours::bytes(cpus.into())),
        Algorithm::Linux => {
            let multicasts = |cpu| workload != Workload::AllToOne && workload.sends(cpu);
            (Rc::new(Linux::new(cpus, multicasts)), Linux::bytes(cpus.into()))
        }
    };
    let tally = Rc::new(Tally::default());
    let bodies = (0..cpus).map(|cpu| body(workload, cpu, cpus, cost, &calls, &tally)).collect();
    machine().run(cost, bodies, Rc::new(move || calls.flush()));
    let (before, after) = (tally.before.get().expect("somebody has begun"), machine().counts());
    let each = |total: u64| total as f64 / f64::from(tally.calls.get());
    Price {
        cpus,
        ns: each(tally.ps.get()) / 1000.0,
        transfers: each(after.transfers - before.transfers),
        doorbells: each(after.doorbells - before.doorbells),
        bytes,
    }
}

/// What one CPU does.
fn body(
    workload: Workload,
    cpu: u32,
    cpus: u32,
    cost: &Cost,
    calls: &Rc<dyn Calls>,
    tally: &Rc<Tally>,
) -> Body {
    let (calls, tally, time) = (Rc::clone(calls), Rc::clone(tally), ps(cost.function_ns));
    Box::new(move || {
        calls.online();
        if !workload.sends(cpu) {
            return;
        }
        machine().idle_until(START);
        match workload {
            Workload::Call => rounds(&tally, || calls.call(cpus - 1, time)),
            Workload::Multicast => rounds(&tally, || calls.call_many(None, time)),
            Workload::Shootdown => {
                let mut mask = vec![0; cpus.div_ceil(usize::BITS) as usize];
                let mask = some_others(&mut mask, cpu, cpus);
                rounds(&tally, || calls.call_many(Some(mask), time));
            }
            Workload::AllToOne => {
                tally.begin();
                let seen = Rc::clone(&tally);
                calls.post(
                    0,
                    Rc::new(move || {
                        machine().work(time);
                        seen.not_before(machine().now());
                    }),
                );
            }
            Workload::Everybody => {
                tally.begin();
                calls.call_many(None, time);
                tally.not_before(machine().now());
            }
        }
    })
}

/// The same call a few times, each when all have come to rest: else a target that is on its way out would find the next one
/// without being interrupted. The first is not counted: lines are not yet where they are later.
fn rounds(tally: &Tally, call: impl Fn()) {
    call();
    machine().rest(REST);
    tally.begin();
    for _ in 0..3 {
        machine().rest(REST);
        let begun = machine().now();
        call();
        tally.add(machine().now() - begun);
    }
}

/// Up to 16 CPUs, the same for the same CPU of a machine of that size.
fn some_others(words: &mut [usize], cpu: u32, cpus: u32) -> &mut CpuMask {
    let rng = Rng::new(cpu.into(), cpus.into());
    let mask = CpuMask::from_words_mut(words);
    while mask.len() < 16.min(cpus - 1) {
        let other = rng.below(cpus as usize) as u32;
        if other != cpu {
            mask.insert(other);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both push with a load and a compare-and-swap that is tried again, on a line for which all the others wait.
    #[test]
    fn posts_of_all_to_one_cost_both_algorithms_about_the_same_and_each_post_its_part() {
        let each = |algorithm, cpus| {
            let price = price(Workload::AllToOne, algorithm, cpus, &Cost::default());
            (price.ns / f64::from(cpus), price.transfers / f64::from(cpus))
        };
        for cpus in [64, 256] {
            let [ours, linux] = Algorithm::ALL.map(|algorithm| each(algorithm, cpus));
            assert!((0.7..1.4).contains(&(ours.0 / linux.0)), "{ours:?} and {linux:?} with {cpus}");
            assert!(ours.1 < 6.0 && linux.1 < 6.0, "few tries: {ours:?} and {linux:?} with {cpus}");
        }
    }
}
