//! P10: a report on a multicast finds whoever owes it an answer. In these models each wait reports once, at any moment of it;
//! the core then asserts that an answer which nobody is seen to owe is there (I18).

use crate::port::{Machine, model_of_groups, model_within};
use smpcall::To;

/// A look for who owes an answer, against a target that takes the bit, runs, and answers. Bounds: one call, at most 2 preemptions.
#[test]
fn who_has_still_to_acknowledge_shows_it() {
    model_within(2, |m| {
        m.platform().reports.add();
        let runs = m.tally();
        let caller = m.thread(None, move || {
            let reached = m.call_many(To::If(&mut |cpu| cpu == 1), || runs.add());
            assert_eq!(reached.map(|reached| reached.ran), Ok(1));
        });
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
    });
}

/// The same against a second sender, which does not wait: its notification may bring the target to the look at the bits, and the first
/// one's bit comes between that look and the take. Bounds: one call each, at most 1 preemption.
#[test]
fn who_owes_two_answers_shows_both() {
    model_within(1, |m| {
        m.platform().reports.add();
        let (runs, others) = (m.tally(), m.tally());
        let caller = m.thread(None, move || {
            let reached = m.call_many(To::If(&mut |cpu| cpu == 1), || runs.add());
            assert_eq!(reached.map(|reached| reached.ran), Ok(1));
        });
        let sender = m.thread(0, move || {
            assert_eq!(m.post_many(To::Others, move || others.add()).map(|reached| reached.ran), Ok(1));
        });
        m.answer_until(1, || runs.get() + others.get() == 2);
        caller.join().unwrap();
        sender.join().unwrap();
    });
}

/// The same in a group: while the look goes from one CPU to the next, the leader notifies one that was looked at before, and
/// answers. Bounds: one call, at most 1 preemption.
#[test]
fn who_has_still_to_acknowledge_shows_it_in_a_group() {
    model_of_groups(1, |m: &'static Machine<true, 4>| {
        m.platform().reports.add();
        let runs = [m.tally(), m.tally()];
        let caller = m.thread(None, move || {
            let function = || {
                let cpu = smpcall::Platform::current_cpu(m.platform()).unwrap();
                runs[cpu as usize - 2].add();
            };
            assert_eq!(m.call_many(To::If(&mut |cpu| cpu >= 2), function).map(|reached| reached.ran), Ok(2));
        });
        let other = m.thread(None, move || m.answer_until(3, || runs[1].get() == 1));
        m.answer_until(2, || runs[0].get() == 1);
        other.join().unwrap();
        caller.join().unwrap();
    });
}
