//! P1, P2, P4, P8 of multicasts: bits, notifies, and the slots that hold the calls. (Two slots under loom, not 64.)

use crate::port::{Machine, Place, Tally, model, model_parking, model_parking_within, model_within};
use smpcall::{ManyError, Reached, To};

/// Multicasts to CPU 1 alone, without waiting, what reads `written` and counts.
fn post<const PARKS: bool>(m: &'static Machine<PARKS>, written: &'static Place, runs: &'static Tally) -> u32 {
    written.write(7);
    let mut second = |cpu| cpu == 1;
    let function = move || {
        assert_eq!(written.read(), 7);
        runs.add();
    };
    m.post_many(To::If(&mut second), function).unwrap().ran
}

/// P1, P2: two senders to one target. Whoever's notification comes second finds the first one's there, or the CPU taking it; the
/// one that is taken with the other's notification has published its slot with its bit. Bounds: one call each, at most 2
/// preemptions.
#[test]
fn two_senders_are_both_answered() {
    model_within(2, |m| {
        let runs = m.tally();
        let senders = [None, Some(0)].map(|cpu| {
            let written = m.place();
            m.thread(cpu, move || assert_eq!(post(m, written, runs), 1))
        });
        let _ = m.answer(1);
        for sender in senders {
            sender.join().unwrap();
        }
        // A notification may be left whose bit was taken with the other's.
        m.finish(1);
        assert_eq!(runs.get(), 2, "P1: once each");
    });
}

/// P1: a notification against a flush that leaves, and no more doorbells than sleeps. Bounds: two calls of one sender.
#[test]
fn a_notification_against_a_flush_that_leaves() {
    model(|m| {
        let runs = m.tally();
        let sender = m.thread(0, move || {
            for _ in 0..2 {
                let function = move || runs.add();
                assert_eq!(m.post_many(To::Others, function).map(|reached| reached.ran), Ok(1));
            }
        });
        let _ = m.answer(1);
        let _ = m.answer(1);
        sender.join().unwrap();
        m.finish(1);
        assert_eq!(runs.get(), 2);
        assert!(m.rings(1) <= 3, "P7: one for each sleep");
    });
}

fn call_and_look<const PARKS: bool>(m: &'static Machine<PARKS>, runs: &'static Tally) {
    let answer = m.place();
    let mut second = |cpu| cpu == 1;
    let function = || {
        answer.write(runs.get() + 1);
        runs.add();
    };
    let reached = m.call_many(To::If(&mut second), function).map(|reached| reached.ran);
    assert_eq!(reached, Ok(1));
    assert_ne!(answer.read(), 0, "P4");
}

/// P4: a waiting sender sees what the function wrote, and its slot is taken again only then. Bounds: two calls, one after
/// the other.
#[test]
fn done_means_visible_of_many() {
    model(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || {
            call_and_look(m, runs);
            call_and_look(m, runs);
        });
        m.answer_until(1, || runs.get() == 2);
        caller.join().unwrap();
    });
}

/// P4: a sender that parks against the last answer: it is woken, or does not sleep. A lost wake-up is a deadlock.
/// Bounds: one call.
#[test]
fn a_parking_sender_is_woken() {
    model_parking(|m| {
        let runs = m.tally();
        let caller = m.thread(None, move || call_and_look(m, runs));
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
    });
}

/// P11: the wake-up sees what the sender prepared before it parked. Bounds: one call.
#[test]
fn the_wake_up_sees_what_a_sender_prepared() {
    model_parking(|m| {
        let runs = m.tally();
        m.platform().watched.add();
        let caller = m.thread(None, move || call_and_look(m, runs));
        m.answer_until(1, || runs.get() == 1);
        caller.join().unwrap();
        assert_eq!(m.platform().missing.get(), 0);
    });
}

/// P11: a slot that was left to its last answer is taken by the next sender: its target has read all of it by then. Bounds:
/// two senders that prefer one slot, one after the other or both at once; at most 2 preemptions.
#[test]
fn a_slot_changes_hands() {
    model_within(2, |m| {
        let runs = m.tally();
        let (first, second) = (m.place(), m.place());
        assert_eq!(m.on(0, || post(m, first, runs)), 1);
        let sender = m.thread(None, move || assert_eq!(post(m, second, runs), 1));
        m.answer_until(1, || runs.get() == 2);
        sender.join().unwrap();
    });
}

/// P8: a notification against a CPU that goes offline. Accepted is run; refused is taken back, unless the CPU has taken it.
/// Bounds: one call.
#[test]
fn accepted_by_many_runs_and_refused_is_counted() {
    model(|m| {
        let (written, runs) = (m.place(), m.tally());
        let sender = m.thread(None, move || post(m, written, runs));
        let _ = m.on(1, || m.offline()).unwrap();
        let accepted = sender.join().unwrap();
        assert_eq!(runs.get(), accepted);
    });
}

/// P8: two senders against a CPU that goes offline: one may be refused when the other's notification has had its bit taken, and is
/// then answered all the same. Bounds: one call each, at most 2 preemptions.
#[test]
fn two_senders_while_a_cpu_goes() {
    model_within(2, |m| {
        let runs = m.tally();
        let senders = [None, Some(0)].map(|cpu| {
            let written = m.place();
            m.thread(cpu, move || post(m, written, runs))
        });
        let _ = m.on(1, || m.offline()).unwrap();
        let accepted: u32 = senders.map(|sender| sender.join().unwrap()).iter().sum();
        assert_eq!(runs.get(), accepted);
    });
}

/// P8: two senders against a CPU that goes offline and comes back: one may be refused while the other's notification has its bit
/// taken. Each is answered once, or told. Bounds: one call each, at most 2 preemptions.
#[test]
fn two_senders_while_a_cpu_goes_and_comes() {
    model_within(2, |m| {
        let runs = m.tally();
        let senders = [None, Some(0)].map(|cpu| {
            let written = m.place();
            m.thread(cpu, move || post(m, written, runs))
        });
        let _ = m.on(1, || m.offline()).unwrap();
        m.on(1, || m.come_online()).unwrap();
        let accepted: u32 = senders.map(|sender| sender.join().unwrap()).iter().sum();
        m.finish(1);
        assert_eq!(runs.get(), accepted);
        let nobody: Result<Reached, ManyError> = m.post_many(To::If(&mut |_| false), || ());
        assert_eq!(nobody, Ok(Reached::default()), "both slots are free");
    });
}

/// P6: two multicasts of one sender run in the order in which they were posted, whatever slots they have. Bounds: one
/// sender, with a second that may hold the slot that it prefers; at most 2 preemptions.
#[test]
fn multicasts_of_one_sender_run_in_order() {
    model_within(2, |m| {
        let (written, log, other) = (m.place(), m.tally(), m.tally());
        assert_eq!(post(m, written, other), 1);
        let send = move |digit| m.post_many(To::Others, move || log.log(digit)).map(|reached| reached.ran);
        let sender = m.thread(0, move || {
            while send(1) == Err(ManyError::Full) {
                loom::thread::yield_now();
            }
            while send(2) == Err(ManyError::Full) {
                loom::thread::yield_now();
            }
        });
        m.answer_until(1, || log.get() > 9 && other.get() == 1);
        sender.join().unwrap();
        assert_eq!(log.get(), 12);
    });
}

/// P11: a slot that its sender waited for is taken by another, which fills it after its target has read it. Bounds: one
/// call each, at most 2 preemptions.
#[test]
fn a_slot_that_was_waited_for_changes_hands() {
    model_within(2, |m| {
        let runs = m.tally();
        let written = m.place();
        let caller = m.thread(0, move || call_and_look(m, runs));
        let sender = m.thread(None, move || assert_eq!(post(m, written, runs), 1));
        m.answer_until(1, || runs.get() == 2);
        caller.join().unwrap();
        sender.join().unwrap();
    });
}

/// P11: a slot with which nobody was called, since all were offline, is free when its sender is done with it. Bounds: one
/// call each.
#[test]
fn a_slot_that_nobody_was_sent_changes_hands() {
    model(|m| {
        let _ = m.on(1, || m.offline()).unwrap();
        let (runs, first, second) = (m.tally(), m.place(), m.place());
        let sender = m.thread(0, move || assert_eq!(post(m, first, runs), 0));
        assert_eq!(post(m, second, runs), 0);
        sender.join().unwrap();
    });
}

/// P7: the ring after a notification sees what its target prepared before it came online. Bounds: one call.
#[test]
fn the_ring_of_a_notification_sees_what_was_prepared() {
    model(|m| {
        let (written, runs) = (m.place(), m.tally());
        let _ = m.on(1, || m.offline()).unwrap();
        m.platform().watched.add();
        let sender = m.thread(None, move || post(m, written, runs));
        m.platform().prepared.set(1);
        m.on(1, || m.come_online()).unwrap();
        let accepted = sender.join().unwrap();
        assert_eq!((m.rings(1), m.platform().missing.get()), (accepted, 0));
    });
}

/// P8: two senders against a CPU that comes online. Who finds it offline is told, and who does not is answered; it opens its
/// queue at rest, so one of them rings. Bounds: one call each, at most 2 preemptions.
#[test]
fn two_senders_while_a_cpu_comes() {
    model_within(2, |m| {
        let runs = m.tally();
        let _ = m.on(1, || m.offline()).unwrap();
        let senders = [None, Some(0)].map(|cpu| {
            let written = m.place();
            m.thread(cpu, move || post(m, written, runs))
        });
        m.on(1, || m.come_online()).unwrap();
        let accepted: u32 = senders.map(|sender| sender.join().unwrap()).iter().sum();
        m.finish(1);
        assert_eq!(runs.get(), accepted);
    });
}

/// P1, P2: three senders to one target, with two slots among them: one may be told Full, or take a slot just as it is given
/// back; the others' bits are taken together or one by one. Bounds: one call each, at most 1 preemption (2: 400,000 executions,
/// which hold).
#[test]
fn three_senders_are_answered_or_told_busy() {
    model_within(1, |m| {
        let runs = m.tally();
        let senders = [None, Some(0), None].map(|cpu| {
            let written = m.place();
            m.thread(cpu, move || {
                written.write(7);
                let function = move || {
                    assert_eq!(written.read(), 7);
                    runs.add();
                };
                match m.post_many(To::If(&mut |cpu| cpu == 1), function) {
                    Ok(reached) => reached.ran,
                    Err(busy) => {
                        assert_eq!(busy, ManyError::Full);
                        0
                    }
                }
            })
        });
        let _ = m.answer(1);
        let accepted: u32 = senders.map(|sender| sender.join().unwrap()).iter().sum();
        m.finish(1);
        assert!(accepted >= 2, "there are two slots");
        assert_eq!(runs.get(), accepted, "P1: once each");
    });
}

fn each_multicasts_to_the_other<const PARKS: bool>(m: &'static Machine<PARKS>) {
    let served = [m.tally(), m.tally()];
    let call = move |from: u32| {
        m.on(from, || {
            let reached = m.call_many(To::Others, || served[1 - from as usize].add());
            assert_eq!(reached.map(|reached| reached.ran), Ok(1));
        });
        assert_eq!(served[1 - from as usize].get(), 1, "P4, P1: once, and before the caller goes on");
        m.answer_until(from, || served[from as usize].get() == 1);
    };
    let other = m.thread(None, move || call(1));
    call(0);
    other.join().unwrap();
}

/// P10: two CPUs that multicast to each other, waiting. Each answers the other's while it waits, and whatever comes after is
/// rung for. Bounds: one call each, at most 2 preemptions.
#[test]
fn two_that_multicast_to_each_other_both_finish() {
    model_within(2, each_multicasts_to_the_other);
}

/// P10: the same with senders that sleep. Bounds: at most 1 preemption (2: a million executions and more, which hold).
#[test]
fn two_that_multicast_to_each_other_and_sleep_both_finish() {
    model_parking_within(1, each_multicasts_to_the_other);
}

/// P4, P8: one result from each CPU, against one that goes offline: its place has what it gave back if it has run the function,
/// and nothing else. Bounds: one multicast to one other CPU.
#[test]
fn a_result_is_there_if_its_cpu_has_run() {
    model_within(2, |m| {
        let runs = m.tally();
        let leaves = m.thread(1, move || _ = m.offline().unwrap());
        let mut results = [None; 2];
        let reached = m.on(0, || {
            m.call_map(To::Others, &mut results, |cpu| {
                runs.add();
                cpu + 4
            })
        });
        leaves.join().unwrap();
        assert_eq!(reached.unwrap().ran, runs.get());
        assert_eq!(results, [None, (runs.get() == 1).then_some(5)]);
    });
}
