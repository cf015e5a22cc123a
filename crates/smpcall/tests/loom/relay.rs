//! P1, P4, P8 of relays: a sender leaves a group to a leader. (Under loom two CPUs are a group, and two of it are left to one.)

use crate::port::{Machine, Place, Tally, model_of_groups};
use smpcall::{Platform, Reached, To};

type M = &'static Machine<true, 4>;

/// What CPUs 2 and 3 do when they are called: each writes to a place of its own, and counts.
#[derive(Clone, Copy)]
struct Second {
    places: [&'static Place; 2],
    runs: [&'static Tally; 2],
}

impl Second {
    fn new(m: M) -> Self {
        Self { places: [m.place(), m.place()], runs: [m.tally(), m.tally()] }
    }

    /// Calls both, of which the slot's number makes one the leader, and waits. What they wrote is there (P4), and nobody ran it
    /// who is not counted.
    fn call(self, m: M) -> Reached {
        let mut second_group = |cpu| cpu >= 2;
        let function = || {
            let at = m.platform().current_cpu().unwrap() as usize - 2;
            self.places[at].write(1);
            self.runs[at].add();
        };
        let reached = m.call_many(To::If(&mut second_group), function).unwrap();
        let written: u32 = self.places.iter().map(|place| place.read()).sum();
        assert_eq!((written, reached.ran + reached.offline), (reached.ran, 2));
        assert_eq!(self.runs.map(Tally::get).iter().sum::<u32>(), reached.ran, "P1");
        reached
    }

    fn has_run(self, cpu: u32) -> bool {
        self.runs[cpu as usize - 2].get() == 1
    }
}

/// P4: what all of a group wrote is seen, although only the last of them answers the sender. Bounds: one call, at most 1
/// preemption.
#[test]
fn done_means_visible_of_a_group() {
    model_of_groups(1, |m| {
        let second = Second::new(m);
        let caller = m.thread(None, move || assert_eq!(second.call(m).ran, 2));
        let other = m.thread(None, move || m.answer_until(3, || second.has_run(3)));
        m.answer_until(2, || second.has_run(2));
        other.join().unwrap();
        caller.join().unwrap();
    });
}

/// P8: the leader goes offline. Either it had accepted, and passes the call on before it is gone; or the other one is called
/// straight. Bounds: one call, at most 2 preemptions.
#[test]
fn a_leader_that_goes_offline() {
    model_of_groups(2, |m| {
        let second = Second::new(m);
        let caller = m.thread(None, move || second.call(m));
        let leader = m.thread(None, move || {
            let _ = m.on(2, || m.offline()).unwrap();
        });
        m.answer_until(3, || second.has_run(3));
        leader.join().unwrap();
        caller.join().unwrap();
    });
}

/// P8: a CPU that was left to a leader goes offline, and the leader counts it. Bounds: one call, at most 2 preemptions.
#[test]
fn one_of_a_group_goes_offline() {
    model_of_groups(2, |m| {
        let second = Second::new(m);
        let caller = m.thread(None, move || second.call(m));
        let other = m.thread(None, move || {
            let _ = m.on(3, || m.offline()).unwrap();
        });
        m.answer_until(2, || second.has_run(2));
        other.join().unwrap();
        caller.join().unwrap();
    });
}

/// P11: a relay is used again by the next call, and starts anew; also one that was called off. Bounds: three calls one after the
/// other, the last two with one CPU offline; no
/// preemptions: the calls come one after the other anyway.
#[test]
fn a_relay_is_used_again() {
    model_of_groups(0, |m| {
        let (first, then) = (Second::new(m), [Second::new(m), Second::new(m)]);
        let other = m.thread(None, move || m.answer_until(3, || then[1].has_run(3)));
        let caller = m.thread(None, move || assert_eq!(first.call(m).ran, 2));
        m.answer_until(2, || first.has_run(2));
        caller.join().unwrap();
        let _ = m.on(2, || m.offline()).unwrap();
        assert_eq!(then.map(|second| second.call(m).ran), [1, 1]);
        other.join().unwrap();
    });
}
