//! P1, P4, P8, P10: calls that may block, which a flush moves to the list of its CPU's thread.

use crate::port::{Machine, model, model_parking, model_parking_within, model_within};
use smpcall::CallError;

/// A CPU's thread: answers its doorbell, and runs what may block, until `done`.
fn serve_until<const PARKS: bool>(m: &'static Machine<PARKS>, cpu: u32, done: impl Fn() -> bool) {
    m.answer_until(cpu, || {
        m.on(cpu, || m.own().run_blocking());
        done()
    });
}

/// P4: what the function wrote, and its result, are visible to a caller that spins; and the function sees what the caller
/// wrote. Bounds: one call.
#[test]
fn done_means_visible_to_a_spinning_caller() {
    model(|m| {
        let (written, runs) = (m.place(), m.tally());
        let caller = m.thread(None, move || {
            written.write(1);
            let result = m.call_blocking(1, || {
                assert_eq!(written.read(), 1);
                written.write(2);
                runs.add();
                3
            });
            (result, written.read())
        });
        serve_until(m, 1, || runs.get() == 1);
        assert_eq!(caller.join().unwrap(), (Ok(3), 2));
        assert_eq!(runs.get(), 1);
    });
}

/// P4, P7: the same with a caller that sleeps: it parks before or after the flush has moved its call, and is woken. Bounds:
/// one call.
#[test]
fn a_caller_that_sleeps_is_woken() {
    model_parking(|m| {
        let (written, runs) = (m.place(), m.tally());
        let caller = m.thread(None, move || {
            let result = m.call_blocking(1, || {
                written.write(2);
                runs.add();
                3
            });
            (result, written.read())
        });
        serve_until(m, 1, || runs.get() == 1);
        assert_eq!(caller.join().unwrap(), (Ok(3), 2));
    });
}

/// P8: such a call against a CPU that goes offline: accepted, it runs there before that is done; refused, it does not.
/// Bounds: at most 2 preemptions.
#[test]
fn accepted_runs_and_refused_does_not() {
    model_within(2, |m| {
        let runs = m.tally();
        let caller = m.thread(None, move || m.call_blocking(1, || runs.add()));
        let ran = m.on(1, || m.offline()).unwrap();
        match caller.join().unwrap() {
            Ok(()) => assert_eq!((ran, runs.get()), (1, 1)),
            refused => assert_eq!((refused, ran, runs.get()), (Err(CallError::Offline), 0, 0)),
        }
    });
}

/// Each makes one such call to the other, then serves until the other is back.
fn each_calls_the_other<const PARKS: bool>(m: &'static Machine<PARKS>) {
    let ran = [m.tally(), m.tally()];
    let call = move |to: u32| assert_eq!(m.call_blocking(to, || ran[to as usize].add()), Ok(()));
    let other = m.thread(0, move || {
        call(1);
        serve_until(m, 0, || ran[0].get() == 1);
    });
    m.on(1, || call(0));
    serve_until(m, 1, || ran[1].get() == 1);
    other.join().unwrap();
}

/// P10: two CPUs that call each other. Each runs the other's inside its own wait, or afterwards. Bounds: one call each, at most
/// 2 preemptions.
#[test]
fn two_cpus_call_each_other() {
    model_within(2, each_calls_the_other);
}

/// P10: the same with callers that sleep: none sleeps over what it has taken off its queue. Bounds: at most 1 preemption.
#[test]
fn two_cpus_call_each_other_and_sleep() {
    model_parking_within(1, each_calls_the_other);
}
