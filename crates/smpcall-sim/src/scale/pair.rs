//! Two CPUs, of which one polls: what `smpcall run` measures, predicted. So the model can be held against a real machine.

use super::cost::Cost;
use super::machine::{Body, machine};
use super::ours::{Machine as Core, core};
use smpcall_instrumented::{Budget, Csd, Sleep, To};
use smpcall_sim_atomics::{AtomicU32, Ordering};
use std::cell::Cell;
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

/// The constants with which the model's bare round trip of a line between two near CPUs takes `line_ns`, and a
/// read-modify-write at hand `rmw_ns`: both as `smpcall run` measures them. The others stay as they are.
pub fn calibrated(line_ns: f64, rmw_ns: f64) -> Cost {
    let with = |near_ns| Cost { near_ns, rmw_ns, ..Cost::default() };
    // What a trip takes is linear in what a transfer does.
    let (few, more) = (round_trip(&with(5.0)), round_trip(&with(25.0)));
    with((5.0 + (line_ns - few) * 20.0 / (more - few)).max(0.1))
}

/// A bare round trip of one line: each side waits for the other's store. In ns.
pub fn round_trip(cost: &Cost) -> f64 {
    let word = Rc::new(Line(AtomicU32::new(0)));
    let took = Rc::new(Cell::new(0));
    let (ping, time) = (Rc::clone(&word), Rc::clone(&took));
    let caller = move || {
        let trip = || {
            // Release: what a call needs at the least.
            ping.0.store(1, Ordering::Release);
            // Acquire: as above.
            while ping.0.load(Ordering::Acquire) == 1 {
                machine().relax();
            }
        };
        trip();
        let begun = machine().now();
        (0..TRIPS).for_each(|_| trip());
        time.set(machine().now() - begun);
    };
    let partner = move || {
        for _ in 0..=TRIPS {
            // Acquire: as the caller's.
            while word.0.load(Ordering::Acquire) == 0 {
                machine().relax();
            }
            // Release: as the caller's.
            word.0.store(0, Ordering::Release);
        }
    };
    machine().run(cost, vec![Box::new(caller), Box::new(partner)], Rc::new(|| ()));
    per_trip(took.get())
}

/// Predicts a row, in ns a call.
pub fn predict(pair: Pair, cost: &Cost) -> f64 {
    let smp = core(2);
    let (took, stop) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let bodies: Vec<Body> = vec![
        caller(pair, Rc::clone(&smp), Rc::clone(&took), Rc::clone(&stop)),
        polling(Rc::clone(&smp), stop),
    ];
    machine().run(cost, bodies, Rc::new(move || _ = smp.flush(Budget::DEFAULT)));
    per_trip(took.get())
}

fn per_trip(took: u64) -> f64 {
    took as f64 / 1000.0 / f64::from(TRIPS)
}

#[repr(align(64))]
struct Line<T>(T);

/// A CPU that looks at its queue all the time.
fn polling(smp: Rc<Core>, stop: Rc<Cell<bool>>) -> Body {
    Box::new(move || {
        smp.online().expect("once");
        smp.poll_begin();
        while !stop.get() {
            let _all = smp.flush(Budget::DEFAULT);
            machine().relax();
        }
        while smp.poll_end() == Sleep::Work {
            let _all = smp.flush(Budget::DEFAULT);
        }
    })
}

fn caller(pair: Pair, smp: Rc<Core>, took: Rc<Cell<u64>>, stop: Rc<Cell<bool>>) -> Body {
    Box::new(move || {
        smp.online().expect("once");
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
                // Relaxed: P4 is what makes it visible.
                let count = || _ = ran.0.fetch_add(1, Ordering::Relaxed);
                trips(&took, || assert_eq!(smp.call_many(To::All, count).map(|reached| reached.ran), Ok(2)));
            }
            Pair::Post => {
                let runs = Arc::new(Line(AtomicU32::new(0)));
                let seen = Arc::clone(&runs);
                let csd = Arc::new(Csd::new(move || {
                    // Relaxed: only we write it.
                    let before = runs.0.load(Ordering::Relaxed);
                    // Release: the caller reads it.
                    runs.0.store(before + 1, Ordering::Release);
                }));
                trips(&took, || {
                    // Acquire: pairs with the function.
                    let before = seen.0.load(Ordering::Acquire);
                    assert_eq!(smp.post(1, &csd), Ok(()));
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

    #[test]
    fn a_calibrated_model_has_the_round_trip_that_was_measured() {
        for (line_ns, rmw_ns) in [(54.5, 2.6), (320.0, 5.0)] {
            let trip = round_trip(&calibrated(line_ns, rmw_ns));
            assert!((trip / line_ns - 1.0).abs() < 0.02, "{trip} ns for {line_ns} ns");
        }
    }

    #[test]
    fn a_call_costs_a_round_trip_and_what_it_does_besides() {
        let cost = calibrated(54.5, 2.6);
        let trip = round_trip(&cost);
        let call = predict(Pair::Call, &cost);
        assert!((trip..2.0 * trip).contains(&call), "{call} ns beside {trip} ns");
        assert!(predict(Pair::Borrowing, &cost) > 1.5 * call);
    }
}
