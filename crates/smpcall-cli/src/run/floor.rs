//! The floors: what the hardware and the kernel take for the same journey with nothing on top.
//!
//! - **Cache line round trip**: the caller writes, the target sees it and writes back, the caller sees that. Four ways:
//!   one line that both write or a line each, and with or without a pause hint in the loop that looks. The floor is the
//!   way with the lowest median.
//! - **Futex round trip**: the caller wakes the target, which sleeps in the kernel, and sleeps until it is woken by it.
//!   The target is left alone before, as it is before each call to a parked target, so that it really sleeps.
//! - **`fetch_or`**: one on a line that nobody else uses, its result used.
//!
//! The partner on the other side is a function posted to the very CPU that the rows call: the same thread, the same
//! core, and nothing else runs there meanwhile.

use super::samples::{Sample, Samples};
use super::stage::{Stage, TARGET};
use crate::pace::{Line, Pace, linger_until};
use anyhow::{Result, ensure};
use rustix::thread::futex;
use smpcall_host::smpcall::Csd;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

const ROUND_TRIPS: u32 = 64;
const FETCH_ORS: u32 = 1024;
/// Tells the partner to return. Odd, so that it is the caller's word.
const STOP: u32 = u32::MAX;

static PING: Line<AtomicU32> = Line(AtomicU32::new(0));
static PONG: Line<AtomicU32> = Line(AtomicU32::new(0));
static FUTEX: Line<AtomicU32> = Line(AtomicU32::new(0));

/// What the samples came to.
#[derive(Debug)]
pub(super) struct Floor {
    cache_line: [Samples; 4],
    futex: Samples,
    fetch_or: Samples,
}

/// What a row is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    CacheLine,
    Futex,
    FetchOr,
}

impl Against {
    /// The key of the floor in the JSON file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CacheLine => "cache_line_rtt_ns",
            Self::Futex => "futex_rtt_ns",
            Self::FetchOr => "fetch_or_ns",
        }
    }
}

impl Floor {
    pub(super) fn new() -> Self {
        let samples = Samples::new;
        Self {
            cache_line: [samples(), samples(), samples(), samples()],
            futex: samples(),
            fetch_or: samples(),
        }
    }

    /// The floor in ns: a median.
    pub(super) fn ns(&self, against: Against) -> f64 {
        match against {
            Against::CacheLine => {
                let taken = self.cache_line.iter().filter(|way| !way.is_empty());
                taken.map(|way| way.percentile_ns(50.0)).fold(f64::INFINITY, f64::min)
            }
            Against::Futex => self.futex.percentile_ns(50.0),
            Against::FetchOr => self.fetch_or.percentile_ns(50.0),
        }
    }

    /// One sample of each floor that is measured against a polling target.
    pub(super) fn sample_polling(&mut self, stage: &Stage<'_>) -> Result<()> {
        let ways: &[Way] = match stage.pace {
            Pace::Apart => &SPINNING,
            Pace::Shared => &YIELDING,
        };
        for (way, samples) in ways.iter().zip(&mut self.cache_line) {
            samples.record(&way.sample(stage)?);
        }
        self.fetch_or.record(&fetch_or());
        Ok(())
    }

    /// One sample of the futex's round trip, against a CPU that sleeps.
    pub(super) fn sample_parked(&mut self, stage: &Stage<'_>) -> Result<()> {
        self.futex.record(&futex_round_trip(stage)?);
        Ok(())
    }
}

/// What to do between two looks.
trait Step {
    fn step();
}

struct Pause;
struct Bare;
struct Yield;

impl Step for Pause {
    #[inline(always)]
    fn step() {
        std::hint::spin_loop();
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

    fn sample(&'static self, stage: &Stage<'_>) -> Result<Sample> {
        stage.machine.post(TARGET, &self.partner)?;
        // The first trips wait for the partner to begin.
        (self.caller)(2);
        let trips = stage.pace.batch(ROUND_TRIPS);
        let sample = Sample::time(trips, || (self.caller)(trips));
        // Release: nothing is published with it.
        PING.0.store(STOP, Ordering::Release);
        // Acquire: the partner is done with both words.
        let stopped = stage.pace.wait_until(|| self.answer.load(Ordering::Acquire) == 0);
        ensure!(stopped, "the floor's partner did not come back");
        // Release: both words start anew.
        PING.0.store(0, Ordering::Release);
        Ok(sample)
    }
}

static SPINNING: [Way; 4] =
    [Way::one_line::<Bare>(), Way::one_line::<Pause>(), Way::two_lines::<Bare>(), Way::two_lines::<Pause>()];

/// On one core, to spin is to wait for nobody: here all ways yield.
static YIELDING: [Way; 2] = [Way::one_line::<Yield>(), Way::two_lines::<Yield>()];

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

static FUTEX_PARTNER: Csd<fn()> = Csd::new(futex_partner);

/// One round trip, both ways through the kernel.
fn futex_round_trip(stage: &Stage<'_>) -> Result<Sample> {
    stage.machine.post(TARGET, &FUTEX_PARTNER)?;
    // Acquire: the partner is about to sleep.
    let began = stage.pace.wait_until(|| FUTEX.0.load(Ordering::Acquire) == 2);
    ensure!(began, "the floor's partner did not come");
    stage.pace.settle();
    let sample = Sample::time(1, || {
        send(1);
        wait_while(1);
    });
    send(STOP);
    // Acquire: the partner does not look at the word any more.
    let stopped = linger_until(|| FUTEX.0.load(Ordering::Acquire) == 0);
    ensure!(stopped, "the floor's partner did not come back");
    Ok(sample)
}

fn futex_partner() {
    send(2);
    loop {
        wait_while(2);
        // Acquire: as `wait_while`.
        if FUTEX.0.load(Ordering::Acquire) == STOP {
            break;
        }
        send(2);
    }
    // Release: says that we are done.
    FUTEX.0.store(0, Ordering::Release);
}

fn send(word: u32) {
    // Release: what a doorbell needs at the least.
    FUTEX.0.store(word, Ordering::Release);
    // An error could only be a bad address, which a static is not.
    let _ = futex::wake(&FUTEX.0, futex::Flags::PRIVATE, 1);
}

fn wait_while(word: u32) {
    // Acquire: what a doorbell needs at the least.
    while FUTEX.0.load(Ordering::Acquire) == word {
        // Interrupted, or changed meanwhile: the loop looks again.
        let _ = futex::wait(&FUTEX.0, futex::Flags::PRIVATE, word, None);
    }
}
