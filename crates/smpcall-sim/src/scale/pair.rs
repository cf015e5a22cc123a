//! Two CPUs, of which one polls: what `smpcall run` measures, predicted. So the model can be held against a real machine.

use super::cost::{Cost, Ps, ps};
use super::machine::{Body, machine};
use super::ours::{Machine as Core, core};
use smpcall_instrumented::{Budget, Csd, Flushed, Posted, SleepGuard, To};
use smpcall_sim_atomics::{self as memory, AtomicU32, Kind, Ordering};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

const TRIPS: u32 = 64;

/// A row of `smpcall run`'s table whose target polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// A waiting call.
    Call,
    /// A waiting call that reads and writes the caller's stack.
    Borrowing,
    /// A multicast to both CPUs that counts in the caller's memory.
    Multicast,
    /// A post, until the caller sees what the function wrote.
    Post,
}

impl Pair {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Borrowing, Self::Multicast, Self::Post];

    /// The row's name in `smpcall run`'s table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "waiting call",
            Self::Borrowing => "waiting call, borrowing",
            Self::Multicast => "multicast to all",
            Self::Post => "post, run seen",
        }
    }
}

/// What `smpcall run` measures and the model takes over; none of it is a row that [`predict`] predicts. All in ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// The round trip of a line: each side writes as soon as it has seen the other's word.
    pub line_ns: f64,
    /// The same where each side lets a moment pass, in which the other looks, and then swaps; without that moment.
    pub looked_at_ns: f64,
    /// A read-modify-write at hand.
    pub fetch_or_ns: f64,
    /// A waiting caller's pause between two looks.
    pub pause_ns: f64,
    /// A post to oneself, with the flush that runs it: what instructions take where no line moves.
    pub oneself_ns: f64,
}

impl Floors {
    /// The constants with which the model takes as long for each of these. Of the others, those between cores far apart and
    /// those of interrupts stay as they are.
    pub fn calibrate(&self) -> Cost {
        let mut cost = Cost { rmw_ns: self.fetch_or_ns, pause_ns: self.pause_ns, ..Cost::default() };
        let with = |hit_ns| Cost { hit_ns, ..cost };
        cost = with(solve(self.oneself_ns, |hit_ns| oneself(&with(hit_ns))));
        let with = |near_ns| Cost { near_ns, ..cost };
        cost = with(solve(self.line_ns, |near_ns| round_trip(&with(near_ns))));
        let with = |upgrade_ns| Cost { upgrade_ns, ..cost };
        with(solve(self.looked_at_ns, |upgrade_ns| looked_at_round_trip(&with(upgrade_ns))))
    }
}

/// Where a rising function of a constant comes to what was measured; the lowest constant if it is above that everywhere.
fn solve(measured_ns: f64, model: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.05, measured_ns.max(0.1));
    for _ in 0..24 {
        let middle = f64::midpoint(low, high);
        if model(middle) < measured_ns {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The bare round trip of one line. In ns.
pub fn round_trip(cost: &Cost) -> f64 {
    // Release: what a call needs at the least.
    there_and_back(cost, 0, |word, value| word.store(value, Ordering::Release))
}

/// The round trip of one line at which the other side looks before it is swapped. In ns.
pub fn looked_at_round_trip(cost: &Cost) -> f64 {
    // AcqRel: what a push needs.
    there_and_back(cost, ps(LOOKED_AT_NS), |word, value| _ = word.swap(value, Ordering::AcqRel))
}

/// Long enough for any look.
const LOOKED_AT_NS: f64 = 1000.0;

/// Each side looks until it sees the other's word, lets a time pass, and writes its own. What it takes without that time.
fn there_and_back(cost: &Cost, between: Ps, write: fn(&AtomicU32, u32)) -> f64 {
    let word = Rc::new(Line(AtomicU32::new(0)));
    let took = Rc::new(Cell::new(0));
    let (ping, time) = (Rc::clone(&word), Rc::clone(&took));
    let await_word = |word: &AtomicU32, value| {
        // Acquire: pairs with the other side's write.
        while word.load(Ordering::Acquire) != value {
            machine().pause(u64::MAX);
        }
    };
    let caller = move || {
        machine().idle_until(super::workload::START);
        trips(&time, || {
            machine().work(between);
            write(&ping.0, 1);
            await_word(&ping.0, 0);
        });
    };
    let partner = move || {
        for _ in 0..TRIPS + 2 {
            await_word(&word.0, 1);
            machine().work(between);
            write(&word.0, 0);
        }
    };
    machine().run(cost, vec![Box::new(caller), Box::new(partner)], Rc::new(|| ()));
    per_trip(took.get() - 2 * u64::from(TRIPS) * between)
}

/// A post to oneself, with the flush that runs it. In ns.
pub fn oneself(cost: &Cost) -> f64 {
    let smp = core(1);
    let took = Rc::new(Cell::new(0));
    let time = Rc::clone(&took);
    let body = move || {
        let runs = Arc::new(Line(AtomicU32::new(0)));
        let csd = Arc::new(Csd::new(move || count(&runs)));
        let mut cpu = smp.as_ref().online().expect("once");
        cpu.poll_begin();
        trips(&time, || {
            assert_eq!(smp.post(0, &csd), Ok(Posted::Queued));
            assert_eq!(smp.flush(Budget::DEFAULT), Flushed::All(1));
        });
    };
    machine().run(cost, vec![Box::new(body)], Rc::new(|| ()));
    per_trip(took.get())
}

/// What a row is predicted to take, in ns a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The mean.
    pub ns: f64,
    /// The least and the most, by how the two loops fall.
    pub range_ns: (f64, f64),
}

/// Predicts a row. How the two loops fall decides whether a look comes between two writes, so a nanosecond can decide it. A
/// sample of `smpcall run` is a mean over many calls, which fall in all ways: so is this, over runs in which instructions take
/// from 0.75 to 1.25 times what they are said to.
pub fn predict(pair: Pair, cost: &Cost) -> Prediction {
    let fall = |nth: u32| 0.75 + 0.5 * f64::from(nth) / f64::from(FALLS - 1);
    let run = |nth| one_fall(pair, &Cost { hit_ns: cost.hit_ns * fall(nth), ..*cost });
    let falls: Vec<f64> = (0..FALLS).map(run).collect();
    let least = falls.iter().copied().fold(f64::INFINITY, f64::min);
    let most = falls.iter().copied().fold(0.0, f64::max);
    Prediction { ns: falls.iter().sum::<f64>() / f64::from(FALLS), range_ns: (least, most) }
}

const FALLS: u32 = 64;

fn one_fall(pair: Pair, cost: &Cost) -> f64 {
    let smp = core(2);
    let (took, stop) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let bodies: Vec<Body> =
        vec![caller(pair, smp.clone(), Rc::clone(&took), Rc::clone(&stop)), polling(smp.clone(), stop)];
    machine().run(cost, bodies, Rc::new(move || _ = smp.flush(Budget::DEFAULT)));
    per_trip(took.get())
}

fn per_trip(took: u64) -> f64 {
    took as f64 / 1000.0 / f64::from(TRIPS)
}

#[repr(align(64))]
struct Line<T>(T);

/// Of a waiting caller's pause, a host's polling thread makes this part.
const POLLER_PAUSES_SHORTER: u64 = 4;

/// What is posted: counts its runs.
fn count(runs: &Line<AtomicU32>) {
    // Relaxed: only one CPU writes it.
    let before = runs.0.load(Ordering::Relaxed);
    // Release: whoever posted it reads it.
    runs.0.store(before + 1, Ordering::Release);
}

/// A CPU that looks at its queue all the time.
fn polling(smp: Pin<Rc<Core>>, stop: Rc<Cell<bool>>) -> Body {
    Box::new(move || {
        let mut cpu = smp.as_ref().online().expect("once");
        cpu.poll_begin();
        // As a host's thread does.
        while !stop.get() {
            if cpu.has_work() {
                let _all = cpu.flush(Budget::DEFAULT);
            } else {
                machine().pause(POLLER_PAUSES_SHORTER);
            }
        }
        while cpu.begin_sleep().map(SleepGuard::commit).is_err() {
            let _all = cpu.flush(Budget::DEFAULT);
        }
    })
}

fn caller(pair: Pair, smp: Pin<Rc<Core>>, took: Rc<Cell<u64>>, stop: Rc<Cell<bool>>) -> Body {
    Box::new(move || {
        let _handle = smp.as_ref().online().expect("once");
        machine().idle_until(super::workload::START);
        match pair {
            Pair::Call => trips(&took, || assert_eq!(smp.call(1, || 42), Ok(42))),
            Pair::Borrowing => {
                let sum = Line(AtomicU32::new(0));
                // The closure's memory is a line of the caller's: read and written there.
                let borrow = || {
                    // Relaxed: plain memory of the caller's, which the call hands over.
                    let before = sum.0.load(Ordering::Relaxed);
                    // Relaxed: as above.
                    sum.0.store(before + 1, Ordering::Relaxed);
                };
                trips(&took, || {
                    // Relaxed: as above.
                    let before = sum.0.load(Ordering::Relaxed);
                    assert_eq!(smp.call(1, borrow), Ok(()));
                    // Relaxed: as above.
                    assert_eq!(sum.0.load(Ordering::Relaxed), before + 1);
                });
            }
            Pair::Multicast => {
                let ran = Line(AtomicU32::new(0));
                // Two lines of the caller's stack: what points to the closure, and the closure. The core does not touch them
                // by an atomic.
                let stack = [Line(()), Line(())];
                let count = || {
                    stack.iter().for_each(|line| memory::touch(line, Kind::Read));
                    // Relaxed: P4 is what makes it visible.
                    ran.0.fetch_add(1, Ordering::Relaxed);
                };
                trips(&took, || {
                    stack.iter().for_each(|line| memory::touch(line, Kind::Write));
                    assert_eq!(smp.call_many(To::All, count).map(|reached| reached.ran), Ok(2));
                });
            }
            Pair::Post => {
                let runs = Arc::new(Line(AtomicU32::new(0)));
                let seen = Arc::clone(&runs);
                let csd = Arc::new(Csd::new(move || count(&runs)));
                trips(&took, || {
                    // Acquire: pairs with the function.
                    let before = seen.0.load(Ordering::Acquire);
                    assert_eq!(smp.post(1, &csd), Ok(Posted::Queued));
                    // Acquire: as above.
                    while seen.0.load(Ordering::Acquire) == before {
                        machine().relax();
                    }
                });
            }
        }
        stop.set(true);
        // The other one looks up.
        assert_eq!(smp.call(1, || ()), Ok(()));
    })
}

/// The first two find lines where they are not later.
fn trips(took: &Cell<u64>, trip: impl Fn()) {
    (0..2).for_each(|_| trip());
    let begun = machine().now();
    (0..TRIPS).for_each(|_| trip());
    took.set(machine().now() - begun);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOORS: Floors =
        Floors { line_ns: 54.5, looked_at_ns: 130.0, fetch_or_ns: 2.6, pause_ns: 18.0, oneself_ns: 35.0 };

    #[test]
    fn a_calibrated_model_takes_what_was_measured() {
        let slow = Floors {
            line_ns: 320.0,
            looked_at_ns: 370.0,
            fetch_or_ns: 5.0,
            pause_ns: 40.0,
            oneself_ns: 80.0,
        };
        for floors in [FLOORS, slow] {
            let cost = floors.calibrate();
            let close = |name: &str, ns: f64, measured_ns: f64| {
                assert!((ns / measured_ns - 1.0).abs() < 0.02, "{name}: {ns} ns for {measured_ns} ns");
            };
            close("line", round_trip(&cost), floors.line_ns);
            close("seen", looked_at_round_trip(&cost), floors.looked_at_ns);
            close("oneself", oneself(&cost), floors.oneself_ns);
        }
    }

    #[test]
    fn a_call_costs_a_round_trip_and_what_it_does_besides() {
        let cost = FLOORS.calibrate();
        let call = predict(Pair::Call, &cost);
        assert!((FLOORS.line_ns..3.0 * FLOORS.looked_at_ns).contains(&call.ns), "{call:?}");
        assert!(call.range_ns.0 <= call.ns && call.ns <= call.range_ns.1, "{call:?}");
        assert!(predict(Pair::Borrowing, &cost).ns > call.ns);
    }
}
