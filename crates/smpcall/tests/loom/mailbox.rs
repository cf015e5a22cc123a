//! P4, P11: the place at a CPU's mailbox, which one caller leaves and the next takes.

use crate::port::{Machine, Tally, model_parking_within};
use loom::thread::JoinHandle;
use smpcall::{CallError, CallInError, CallSlot};

/// P4, P11: two callers of one CPU. If the second finds the place free, the first has read its answer; if not, it takes a
/// frame. Bounds: one call each, callers that park, at most 1 preemption.
#[test]
fn the_slot_changes_hands() {
    model_parking_within(1, |m| {
        let runs = m.tally();
        let call = move |number: u32| {
            let answer = m.call(1, move || {
                runs.add();
                number + 10
            });
            assert_eq!(answer, Ok(number + 10));
        };
        let callers = [m.thread(None, move || call(1)), m.thread(0, move || call(2))];
        m.answer_until(1, || runs.get() == 2);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// Two calls of CPU 1, by a thread and a CPU, each of which does `then` when its call has ended; how many were accepted.
fn two_callers(
    m: &'static Machine<true>,
    runs: &'static Tally,
    then: impl Fn() + Copy + 'static,
) -> [JoinHandle<u32>; 2] {
    let call = move |number: u32| {
        let answer = m.call(1, move || {
            runs.add();
            number + 10
        });
        then();
        assert!(answer == Ok(number + 10) || answer == Err(CallError::Offline), "{answer:?}");
        u32::from(answer.is_ok())
    };
    [m.thread(None, move || call(1)), m.thread(0, move || call(2))]
}

/// P4, P8, P11: two callers of one CPU while it goes offline. Who is accepted is answered, who is refused has not run. Bounds: one
/// call each, callers that park, at most 1 preemption.
#[test]
fn two_callers_while_the_cpu_goes() {
    model_parking_within(1, |m| {
        let runs = m.tally();
        let callers = two_callers(m, runs, || ());
        let ran = m.on(1, || m.offline()).unwrap();
        let accepted: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!((ran, runs.get()), (accepted, accepted));
    });
}

/// P4, P8, P11: two callers of one CPU while it comes online. Who is refused gives the place back as whole as one that was answered,
/// for the other who is accepted. Bounds: one call each, callers that park, at most 1 preemption.
#[test]
fn two_callers_while_the_cpu_comes() {
    model_parking_within(1, |m| {
        let (runs, ended) = (m.tally(), m.tally());
        let _ = m.on(1, || m.offline()).unwrap();
        let callers = two_callers(m, runs, move || {
            ended.add();
            // So that the target looks whether both have ended, also if nobody was accepted.
            m.ring(1);
        });
        m.on(1, || m.come_online()).unwrap();
        m.answer_until(1, || ended.get() == 2);
        let accepted: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!(runs.get(), accepted);
    });
}

/// P4, P11: two callers of one CPU by way of one slot of theirs. If the second finds it free, the first has read its result; if not,
/// it is told so. Bounds: one call each, callers that park, at most 1 preemption.
#[test]
fn a_slot_of_ones_own_changes_hands() {
    model_parking_within(1, |m| {
        let (runs, ended) = (m.tally(), m.tally());
        let slot = m.keep(CallSlot::<4>::new());
        let call = move |number: u64| {
            let answer = m.call_in(slot, 1, move || {
                runs.add();
                number + 10
            });
            ended.add();
            // So that the target looks whether both have ended.
            m.ring(1);
            assert!(answer == Ok(number + 10) || answer == Err(CallInError::SlotInUse), "{answer:?}");
            u32::from(answer.is_ok())
        };
        let callers = [m.thread(None, move || call(1)), m.thread(0, move || call(2))];
        m.answer_until(1, || ended.get() == 2);
        let accepted: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert!(accepted >= 1);
        assert_eq!(runs.get(), accepted);
    });
}
