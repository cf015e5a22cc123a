//! The floors: what the hardware and the kernel take for the same journey with nothing on top.
//!
//! - **Cache line round trip**: the caller writes, the target sees it and writes back, the caller sees that. Six ways:
//!   one line that both write or a line each, and between two looks nothing, a pause hint, or what the port does there. The
//!   floor is the way with the lowest median. Each side writes as soon as it has seen the other's word, so the line is still its own.
//! - **Round trip of a line that is looked at**: the same on one line, but each side, when it has seen the other's word, lets a
//!   moment pass, in which the other looks at the line again, and then swaps. What the moment takes is measured beside it and
//!   taken off. That is what a line costs at which somebody looks all the time, once there is anything to do between to see
//!   and to write: it is fetched, and then taken away from who looks. Three ways to look, as above; the best one.
//! - **Futex round trip**: the caller wakes the target, which sleeps in the kernel, and sleeps until it is woken by it.
//!   The target is left alone before, as it is before each call to a parked target, so that it really sleeps.
//! - **`fetch_or`**: one on a line that nobody else uses, its result used.
//! - **Pause**: what the port does between two looks of a waiting caller.
//!
//! The partner on the other side is a function posted to the very CPU that the rows call: the same thread, the same
//! core, and nothing else runs there meanwhile.

mod futex;

use crate::pace::{Line, Pace};
use crate::samples::{Sample, Samples};
use anyhow::{Result, bail, ensure};
use smpcall_host::smpcall::{Csd, Platform};
use smpcall_host::{Machine, short_pause};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, Ordering};

const ROUND_TRIPS: u32 = 64;
const FETCH_ORS: u32 = 1024;
const PAUSES: u32 = 256;
/// For how many short pauses a side lets the other look: longer than a core keeps a line that another asks for.
const LOOKED_AT_FOR: u32 = 8;
/// How often a sample is taken anew that cannot be right.
const TRIES_MAX: u32 = 1_000;
/// Tells the partner to return. Odd, so that it is the caller's word.
const STOP: u32 = u32::MAX;

static PING: Line<AtomicU32> = Line(AtomicU32::new(0));
static PONG: Line<AtomicU32> = Line(AtomicU32::new(0));

/// Between whom the floors are measured: the calling thread, and a CPU of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Between<'m> {
    /// Its thread is the partner.
    pub machine: &'m Machine,
    /// The CPU's number.
    pub target: u32,
    /// Whether the two can run at the same time.
    pub pace: Pace,
}

/// What the samples came to.
#[derive(Debug)]
pub struct Floor {
    cache_line: [Samples; 6],
    looked_at: [Samples; 3],
    futex: Samples,
    fetch_or: Samples,
    pause: Samples,
}

/// What a row is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A cache line's round trip.
    CacheLine,
    /// That of a line which is looked at.
    LookedAt,
    /// A round trip through the kernel.
    Futex,
    /// One `fetch_or`.
    FetchOr,
    /// What is between two looks.
    Pause,
}

impl Against {
    /// The key of the floor in the JSON file.
    pub fn name(self) -> &'static str {
        match self {
            Self::CacheLine => "cache_line_rtt_ns",
            Self::LookedAt => "looked_at_line_rtt_ns",
            Self::Futex => "futex_rtt_ns",
            Self::FetchOr => "fetch_or_ns",
            Self::Pause => "pause_ns",
        }
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self::new()
    }
}

impl Floor {
    /// No sample yet.
    pub fn new() -> Self {
        let samples = Samples::new;
        Self {
            cache_line: std::array::from_fn(|_| samples()),
            looked_at: std::array::from_fn(|_| samples()),
            futex: samples(),
            fetch_or: samples(),
            pause: samples(),
        }
    }

    /// The floor in ns: a median.
    pub fn ns(&self, against: Against) -> f64 {
        match against {
            Against::CacheLine => best_of(&self.cache_line),
            Against::LookedAt => best_of(&self.looked_at),
            Against::Futex => self.futex.percentile_ns(50.0),
            Against::FetchOr => self.fetch_or.percentile_ns(50.0),
            Against::Pause => self.pause.percentile_ns(50.0),
        }
    }

    /// One sample of each floor that is measured against a polling target.
    ///
    /// # Errors
    ///
    /// The partner did not run.
    pub fn sample_polling(&mut self, between: &Between<'_>) -> Result<()> {
        let (ways, looked_at): (&[Way], &[Way]) = match between.pace {
            Pace::Apart => (&SPINNING, &LOOKED_AT_SPINNING),
            Pace::Shared => (&YIELDING, &LOOKED_AT_YIELDING),
        };
        for (way, samples) in ways.iter().zip(&mut self.cache_line) {
            samples.record(&way.sample(between)?);
        }
        for (way, samples) in looked_at.iter().zip(&mut self.looked_at) {
            samples.record(&way.sample_without_moments(between)?);
        }
        self.fetch_or.record(&fetch_or());
        let pause = || (0..PAUSES).for_each(|_| between.machine.platform().relax());
        self.pause.record(&Sample::time(PAUSES, pause));
        Ok(())
    }

    /// One sample of the futex's round trip, against a CPU that sleeps.
    ///
    /// # Errors
    ///
    /// The partner did not run.
    pub fn sample_parked(&mut self, between: &Between<'_>) -> Result<()> {
        self.futex.record(&futex::round_trip(between)?);
        Ok(())
    }
}

impl Way {
    /// One sample, without the moments for which each side lets the other look.
    fn sample_without_moments(&'static self, between: &Between<'_>) -> Result<Sample> {
        for _ in 0..TRIES_MAX {
            let trips = self.sample(between)?;
            let moments = Sample::time(trips.calls, || (0..2 * trips.calls).for_each(|_| let_look()));
            // The thread may have been off its core in the moments, and not before: then the two do not belong together.
            if let Some(elapsed) =
                trips.elapsed.checked_sub(moments.elapsed).filter(|elapsed| !elapsed.is_zero())
            {
                return Ok(Sample { elapsed, ..trips });
            }
        }
        bail!("{TRIES_MAX} times a moment took longer than a round trip with the moment in it")
    }
}

/// The lowest median of several ways.
fn best_of(ways: &[Samples]) -> f64 {
    let taken = ways.iter().filter(|way| !way.is_empty());
    taken.map(|way| way.percentile_ns(50.0)).fold(f64::INFINITY, f64::min)
}

/// What to do between two looks.
trait Step {
    fn step();
}

struct Port;
struct Pause;
struct Bare;
struct Yield;

impl Step for Port {
    #[inline(always)]
    fn step() {
        // As the host's `Platform::relax`.
        (0..4).for_each(|_| short_pause());
    }
}

impl Step for Pause {
    #[inline(always)]
    fn step() {
        spin_loop();
    }
}

impl Step for Bare {
    #[inline(always)]
    fn step() {}
}

impl Step for Yield {
    #[inline(always)]
    fn step() {
        std::thread::yield_now();
    }
}

/// One way to make a round trip.
struct Way {
    partner: Csd<fn()>,
    caller: fn(u32),
    /// The word that the partner writes.
    answer: &'static AtomicU32,
}

impl Way {
    const fn one_line<S: Step>() -> Self {
        Self { partner: Csd::new(one_line_partner::<S>), caller: one_line_caller::<S>, answer: &PING.0 }
    }

    const fn two_lines<S: Step>() -> Self {
        Self { partner: Csd::new(two_lines_partner::<S>), caller: two_lines_caller::<S>, answer: &PONG.0 }
    }

    const fn looked_at<S: Step>() -> Self {
        Self { partner: Csd::new(looked_at_partner::<S>), caller: looked_at_caller::<S>, answer: &PING.0 }
    }

    fn sample(&'static self, between: &Between<'_>) -> Result<Sample> {
        between.machine.post(between.target, &self.partner)?;
        // The first trips wait for the partner to begin.
        (self.caller)(2);
        let trips = between.pace.batch(ROUND_TRIPS);
        let sample = Sample::time(trips, || (self.caller)(trips));
        // Release: nothing is published with it.
        PING.0.store(STOP, Ordering::Release);
        // Acquire: the partner is done with both words.
        let stopped = between.pace.wait_until(|| self.answer.load(Ordering::Acquire) == 0);
        ensure!(stopped, "the floor's partner did not come back");
        // Release: both words start anew.
        PING.0.store(0, Ordering::Release);
        Ok(sample)
    }
}

static SPINNING: [Way; 6] = [
    Way::one_line::<Bare>(),
    Way::one_line::<Pause>(),
    Way::one_line::<Port>(),
    Way::two_lines::<Bare>(),
    Way::two_lines::<Pause>(),
    Way::two_lines::<Port>(),
];

/// On one core, to spin is to wait for nobody: here all ways yield.
static YIELDING: [Way; 2] = [Way::one_line::<Yield>(), Way::two_lines::<Yield>()];

static LOOKED_AT_SPINNING: [Way; 3] =
    [Way::looked_at::<Bare>(), Way::looked_at::<Pause>(), Way::looked_at::<Port>()];
static LOOKED_AT_YIELDING: [Way; 1] = [Way::looked_at::<Yield>()];

/// Odd is the caller's word, even the partner's.
fn one_line_caller<S: Step>(trips: u32) {
    for _ in 0..trips {
        // Release and Acquire: the orderings that a call needs at the least.
        PING.0.store(1, Ordering::Release);
        // Acquire: as above.
        while PING.0.load(Ordering::Acquire) == 1 {
            S::step();
        }
    }
}

fn one_line_partner<S: Step>() {
    loop {
        // Acquire: as the caller's.
        match PING.0.load(Ordering::Acquire) {
            // Release: as the caller's.
            1 => PING.0.store(2, Ordering::Release),
            STOP => break,
            _ => S::step(),
        }
    }
    // Release: says that we are done.
    PING.0.store(0, Ordering::Release);
}

/// Lets the other side look.
#[inline(always)]
fn let_look() {
    (0..LOOKED_AT_FOR).for_each(|_| short_pause());
}

fn looked_at_caller<S: Step>(trips: u32) {
    for _ in 0..trips {
        let_look();
        // AcqRel: as a push.
        PING.0.swap(1, Ordering::AcqRel);
        // Acquire: as for one line.
        while PING.0.load(Ordering::Acquire) == 1 {
            S::step();
        }
    }
}

fn looked_at_partner<S: Step>() {
    loop {
        // Acquire: as the caller's.
        match PING.0.load(Ordering::Acquire) {
            1 => {
                let_look();
                // AcqRel: as the caller's.
                PING.0.swap(2, Ordering::AcqRel);
            }
            STOP => break,
            _ => S::step(),
        }
    }
    // Release: says that we are done.
    PING.0.store(0, Ordering::Release);
}

fn two_lines_caller<S: Step>(trips: u32) {
    // Relaxed: nobody else writes it now.
    let first = PING.0.load(Ordering::Relaxed) + 1;
    for trip in first..first + trips {
        // Release: as for one line.
        PING.0.store(trip, Ordering::Release);
        // Acquire: as for one line.
        while PONG.0.load(Ordering::Acquire) != trip {
            S::step();
        }
    }
}

fn two_lines_partner<S: Step>() {
    let mut answered = 0;
    loop {
        // Acquire: as for one line.
        match PING.0.load(Ordering::Acquire) {
            STOP => break,
            trip if trip != answered => {
                // Release: as for one line.
                PONG.0.store(trip, Ordering::Release);
                answered = trip;
            }
            _ => S::step(),
        }
    }
    // Release: says that we are done.
    PONG.0.store(0, Ordering::Release);
}

/// From so many uncontended `fetch_or` in a line's round trip on, two cores are far. Within one cache or mesh it takes 10 to 35 of them, between
/// caches of one package, or packages, 70 and more.
pub const FAR: f64 = 50.0;

/// Returns whether two cores are far from each other, of two floors in ns. By these, not by what the system says of its topology: in a virtual
/// machine that is made up, and may change in the middle of a run.
pub fn is_far(line_ns: f64, fetch_or_ns: f64) -> bool {
    line_ns >= FAR * fetch_or_ns
}

/// Returns the median of some samples of a `fetch_or`, in ns, for who has no [`Floor`] in which they are.
pub fn fetch_or_ns() -> f64 {
    let mut samples = Samples::default();
    (0..99).for_each(|_| samples.record(&fetch_or()));
    samples.percentile_ns(50.0)
}

fn fetch_or() -> Sample {
    let word = Line(AtomicU32::new(0));
    let mut bits = 0;
    Sample::time(FETCH_ORS, || {
        for _ in 0..FETCH_ORS {
            // AcqRel: what a claim by `fetch_or` would take.
            bits |= black_box(&word).0.fetch_or(1, Ordering::AcqRel);
        }
        black_box(bits);
    })
}
