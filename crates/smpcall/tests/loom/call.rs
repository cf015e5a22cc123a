//! P4, P10: waiting calls. Their frames are on the caller's stack, which is used again as soon as they return.

use crate::port::{Machine, Tally, model, model_parking, model_parking_within};

/// A call that borrows from the stack and gives back a result, in a frame of its own.
#[inline(never)]
fn call_borrowing<const PARKS: bool>(m: &'static Machine<PARKS>, from: u32, runs: &Tally) {
    let mut local = from;
    let got = m.call(1, || {
        runs.add();
        local += 1;
        local * 2
    });
    assert_eq!((got, local), (Ok((from + 1) * 2), from + 1));
}

/// Writes all over what the last function had on the stack: whoever still reads there finds no object of loom's.
#[inline(never)]
fn overwrite_the_stack() {
    std::hint::black_box(&mut [0xff_u8; 1024]);
}

/// P4, P11: a spinning caller against its target. The result is read when the word says done, and the completion is the
/// last that the target has to do with the frame. Bounds: two calls, one after the other, by a thread that is no CPU.
#[test]
fn done_means_visible_to_a_spinning_caller() {
    model(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || {
            call_borrowing(m, 1, runs);
            overwrite_the_stack();
            call_borrowing(m, 5, runs);
        });
        m.answer_until(1, || runs.get() == 2);
        caller.join().unwrap();
    });
}

/// P4: a parking caller against its completion. If `PARKED` is there first, the swap sees it and wakes. If the completion
/// is, the parking fails, and there is no sleep. A wake-up that is lost is a deadlock. Bounds: one call.
#[test]
fn a_parking_caller_is_woken() {
    model_parking(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || call_borrowing(m, 1, runs));
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
    });
}

/// P4, P11: the same with a caller that returns from its park at any time, so that its frame is gone as soon as the word
/// says done: the target must know whom to wake before. Bounds: one call.
#[test]
fn nothing_touches_a_frame_after_its_completion() {
    model_parking(|m| {
        let runs = m.tally();
        m.platform().naps.add();
        let caller = m.thread(None, move || {
            call_borrowing(m, 1, runs);
            overwrite_the_stack();
        });
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
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
