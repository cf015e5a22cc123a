//! P4, P10: waiting calls, from a frame on the caller's stack and at the target's mailbox. Under loom to leave a frame is to
//! write to all of it, so a target that touches one after its completion fails the model, whenever it does.

use crate::port::{Machine, Tally, model, model_parking, model_parking_within, model_within};
use smpcall::CallError;

/// A call that borrows from the stack and gives back a result. It fits the place in the mailbox.
fn call_at_door<const PARKS: bool>(m: &'static Machine<PARKS>, runs: &Tally) {
    let mut local = 1;
    let call = |local: &mut u32| {
        runs.add();
        *local += 1;
        *local * 2
    };
    assert_eq!((m.call(1, || call(&mut local)), local), (Ok(4), 2));
}

/// The same with more payload than the mailbox has room for.
fn call_from_frame<const PARKS: bool>(m: &'static Machine<PARKS>, runs: &Tally) {
    let (mut local, payload) = (1, [1_usize; 5]);
    let got = m.call(1, || {
        runs.add();
        local += 1;
        payload.map(|number| number + 1)
    });
    assert_eq!((got, local), (Ok([2; 5]), 2));
}

/// P4, P11: a spinning caller against its target. The result is read when the word says done, and the completion is the
/// last that the target has to do with the frame or the place. Bounds: two calls, one after the other, by a thread that is
/// no CPU.
#[test]
fn done_means_visible_to_a_spinning_caller() {
    model(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || {
            call_from_frame(m, runs);
            call_at_door(m, runs);
        });
        m.answer_until(1, || runs.get() == 2);
        caller.join().unwrap();
    });
}

/// P4: a parking caller against its completion. If `PARKED` is there first, the swap sees it and wakes. If the completion
/// is, the parking fails, and there is no sleep. A wake-up that is lost is a deadlock. Bounds: one call, in the mailbox.
#[test]
fn a_parking_caller_is_woken() {
    model_parking(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || call_at_door(m, runs));
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
    });
}

/// P4, P11: the same with a caller that returns from its park at any time, so that its frame is gone as soon as the word
/// says done: the target must know whom to wake before. Bounds: one call, from a frame.
#[test]
fn nothing_touches_a_frame_after_its_completion() {
    model_parking(|m| {
        let runs = m.tally();
        m.platform().naps.add();
        let caller = m.thread(None, move || call_from_frame(m, runs));
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
    });
}

/// P4, P8: a waiting call against a CPU that goes offline: it is run, or told, and the target is not in its frame any more.
/// Bounds: one call.
#[test]
fn a_call_against_offline() {
    model(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || m.call(1, || runs.add()));
        let ran = m.on(1, || m.offline()).unwrap();
        let answer = caller.join().unwrap();
        let expected = if ran == 1 { Ok(()) } else { Err(CallError::Offline) };
        assert_eq!((answer, runs.get()), (expected, ran));
    });
}

/// P7: a post to a CPU whose wait comes to its end. While it waits it looks, and posters do not ring; when it looks no more
/// it takes its mark back, or runs what came. Bounds: one call, one post after it; at most 2 preemptions.
#[test]
fn a_post_to_a_cpu_that_ends_its_wait() {
    model_within(2, |m| {
        let (called, posted) = (m.tally(), m.tally());
        let csd = m.csd(move || posted.add());
        let other = m.thread(None, move || {
            m.answer_until(1, || called.get() == 1);
            m.post(0, csd)
        });
        assert_eq!(m.on(0, || m.call(1, || called.add())), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(smpcall::Posted::Queued));
        m.finish(0);
        assert_eq!(posted.get(), 1);
    });
}

/// P10: a waiting CPU goes to sleep against a post to it, on which the answer to its call depends. Either it sees the entry
/// before, or the post rings. Bounds: one call and one post; at most 2 preemptions.
#[test]
fn a_post_to_a_cpu_that_waits_asleep() {
    model_parking_within(2, |m| {
        let (called, posted) = (m.tally(), m.tally());
        let csd = m.csd(move || posted.add());
        let other = m.thread(None, move || {
            m.post(0, csd).unwrap();
            while posted.get() == 0 {
                loom::thread::yield_now();
            }
            m.answer_until(1, || called.get() == 1);
        });
        assert_eq!(m.on(0, || m.call(1, || called.add())), Ok(()));
        other.join().unwrap();
        assert_eq!(posted.get(), 1);
    });
}

fn each_calls_the_other<const PARKS: bool>(m: &'static Machine<PARKS>) {
    let served = [m.tally(), m.tally()];
    let call = move |from: u32| {
        m.on(from, || {
            let to = 1 - from;
            assert_eq!(
                m.call(to, || {
                    served[to as usize].add();
                    to + 10
                }),
                Ok(to + 10)
            );
        });
        m.answer_until(from, || served[from as usize].get() == 1);
    };
    let other = m.thread(None, move || call(1));
    call(0);
    other.join().unwrap();
}

/// P10: two CPUs that call each other. Each serves its own queue while it waits, and whatever comes after is rung for: its
/// mark is as it was before the wait. Bounds: one call each.
#[test]
fn two_that_call_each_other_both_finish() {
    model(each_calls_the_other);
}

/// P10: the same with callers that sleep. Each stops polling before, so that the other's call rings, and its own
/// doorbell is where its wake-up comes. Bounds: at most 2 preemptions.
#[test]
fn two_that_call_each_other_and_sleep_both_finish() {
    model_parking_within(2, each_calls_the_other);
}
