//! P4, P8, P10: CPUs that are held until another has run a function.

use crate::port::model_within;
use loom::thread;
use smpcall::{Hold, HotplugError};

/// P4: what a held CPU did before is behind the function, and what that wrote is behind the CPU when it goes on. Bounds: one other
/// CPU, which looks when it is rung; at most 2 preemptions.
#[test]
fn a_held_cpu_and_the_function_see_each_other() {
    model_within(2, |m| {
        let (place, over) = (m.place(), m.tally());
        let other = m.thread(1, move || {
            place.write(1);
            m.answer_until(1, || over.get() == 1);
            assert_eq!(place.read(), 2);
        });
        let met = m.on(0, || {
            m.rendezvous(Hold::All, || {
                assert_eq!(place.read(), 1);
                place.write(2);
                over.set(1);
            })
        });
        assert_eq!(met, Ok(()));
        other.join().unwrap();
    });
}

/// P8: a CPU that comes online against a rendezvous. If it is through the gate first it is held, else it is refused until the function
/// has run. Bounds: one other CPU; at most 2 preemptions.
#[test]
fn a_cpu_that_comes_online_is_held_or_comes_later() {
    model_within(2, |m| {
        let (place, over) = (m.place(), m.tally());
        m.on(1, || m.offline()).unwrap();
        let other = m.thread(1, move || {
            while m.come_online() == Err(HotplugError::Held) {
                thread::yield_now();
            }
            // Kernel code of a CPU that is online.
            place.write(1);
            m.answer_until(1, || over.get() == 1);
        });
        let met = m.on(0, || {
            m.rendezvous(Hold::All, || {
                place.write(2);
                over.set(1);
            })
        });
        assert_eq!(met, Ok(()));
        // So that it ends also if it came too late to be held.
        m.ring(1);
        other.join().unwrap();
    });
}

/// P10: two CPUs that call all together at once take turns; each is held by the other. Bounds: two CPUs; at most 1 preemption.
#[test]
fn two_at_once_take_turns() {
    model_within(1, |m| {
        let (place, runs) = (m.place(), m.tally());
        let count = move || {
            place.write(1);
            runs.add();
        };
        let other = m.thread(1, move || {
            assert_eq!(m.rendezvous(Hold::All, count), Ok(()));
            m.answer_until(1, || runs.get() == 2);
        });
        m.on(0, || {
            assert_eq!(m.rendezvous(Hold::All, count), Ok(()));
            m.answer_until(0, || runs.get() == 2);
        });
        other.join().unwrap();
    });
}
