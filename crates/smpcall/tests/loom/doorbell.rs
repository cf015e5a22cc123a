//! P7: a post against a target that looks, rests, polls, or stops at its budget.

use crate::port::{budget, model, model_within};
use smpcall::{Budget, Flushed, NoSleep, Posted, SleepGuard};

/// P7: a push against a flush that leaves. If the push comes first, the flush finds a list in place of its mark, goes
/// round again, and nobody rings. If the mark is back at `IDLE` first, the push owes the ring. Bounds: one push.
#[test]
fn a_push_against_a_flush_that_leaves() {
    model(|m| {
        let runs = m.tally();
        let [first, second] = [(); 2].map(|()| m.csd(move || runs.add()));
        m.post(1, first).unwrap();
        let poster = m.thread(None, move || m.post(1, second));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        let rings = m.rings(1);
        assert_eq!(rings, 1 + u32::from(m.finish(1)), "P7: one ring for each sleep that ends");
        assert_eq!(runs.get(), 2);
    });
}

/// P7: the same against a flush that has run several, and leaves by the long way. Bounds: two posts before, one push.
#[test]
fn a_push_against_a_flush_of_several_that_leaves() {
    model(|m| {
        let runs = m.tally();
        let [first, second, third] = [(); 3].map(|()| m.csd(move || runs.add()));
        m.post(1, first).unwrap();
        m.post(1, second).unwrap();
        let poster = m.thread(None, move || m.post(1, third));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        let rings = m.rings(1);
        assert_eq!(rings, 1 + u32::from(m.finish(1)), "P7: one ring for each sleep that ends");
        assert_eq!(runs.get(), 3);
    });
}

/// P7: two pushes to an idle CPU that is not flushing: the one that replaces `IDLE` rings, the other does not.
#[test]
fn of_two_pushes_one_rings() {
    model(|m| {
        let runs = m.tally();
        let csds = [(); 2].map(|()| m.csd(move || runs.add()));
        let poster = m.thread(None, move || m.post(1, csds[0]));
        m.post(1, csds[1]).unwrap();
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        assert_eq!(m.rings(1), 1);
        assert!(m.finish(1));
        assert_eq!(runs.get(), 2);
    });
}

/// P7: a push against a CPU that polls, and then means to sleep. Either the last flush runs it, or the sleep is refused,
/// or it replaces `IDLE` and rings. Bounds: one push, two tries to sleep.
#[test]
fn a_polling_cpu_is_not_rung_and_sleeps_over_nothing() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.on(1, || m.own().poll_begin());
        let poster = m.thread(None, move || m.post(1, csd));
        m.on(1, || {
            let _ = m.flush(Budget::DEFAULT);
            if m.own().begin_sleep().map(|guard| _ = guard.commit()) == Err(NoSleep::Work) {
                assert_eq!(m.flush(Budget::DEFAULT), Flushed::All(1));
                assert_eq!(m.own().begin_sleep().map(|guard| _ = guard.commit()), Ok(()));
            }
        });
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        let rings = m.rings(1);
        assert_eq!(rings, u32::from(m.finish(1)), "P7: rung if and only if it slept");
        assert_eq!(runs.get(), 1);
    });
}

/// P7: a push against a CPU that begins to sleep in steps. If the push comes before the mark, the CPU is told of work; if it comes
/// between the mark and the second look, that sees it, and it has rung; if it comes later, it has rung. Bounds: one push.
#[test]
fn a_push_against_a_sleep_in_steps() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.on(1, || m.own().poll_begin());
        let poster = m.thread(None, move || m.post(1, csd));
        let slept = m.on(1, || {
            let mut cpu = m.own();
            let mut seen = true;
            if let Ok(guard) = cpu.begin_sleep() {
                seen = guard.look_again();
                let _ = guard.commit();
            }
            if seen {
                assert_eq!(cpu.flush(Budget::DEFAULT), Flushed::All(1));
            }
            !seen
        });
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        assert_eq!(m.finish(1), slept, "P7: who slept was rung for it");
        assert_eq!(runs.get(), 1);
    });
}

/// P7: a push against a sleep that is given up: the CPU polls again, so that the push is seen by its next look, or rings. Bounds:
/// one push.
#[test]
fn a_push_against_a_sleep_that_is_given_up() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.on(1, || m.own().poll_begin());
        let poster = m.thread(None, move || m.post(1, csd));
        m.on(1, || {
            let mut cpu = m.own();
            let _ = cpu.begin_sleep().map(SleepGuard::abort);
            let _ = cpu.flush(Budget::DEFAULT);
            while cpu.begin_sleep().map(SleepGuard::commit).is_err() {
                let _ = cpu.flush(Budget::DEFAULT);
            }
        });
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        m.finish(1);
        assert_eq!(runs.get(), 1);
    });
}

/// P7: a push against a CPU that begins to poll. If the push comes first, the mark does not replace the list.
#[test]
fn a_push_against_poll_begin() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        let poster = m.thread(None, move || m.post(1, csd));
        m.on(1, || {
            m.own().poll_begin();
            let _ = m.flush(Budget::DEFAULT);
        });
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        let _ = m.on(1, || m.flush(Budget::DEFAULT));
        assert_eq!(runs.get(), 1);
        assert!(
            m.rings(1) <= 1 && m.on(1, || m.own().begin_sleep().map(|guard| _ = guard.commit())) == Ok(())
        );
    });
}

/// P7, the port's third duty: a ring that is merged into one that is pending, against an answer that looks before it
/// writes. If the ring comes first, the acknowledgement reads from it, and the look sees the push. If the
/// acknowledgement does, the latch is set again. Two words, and the relaxed look decides.
#[test]
fn a_merged_ring_is_not_missed() {
    model(|m| {
        let runs = m.tally();
        let [first, second] = [(); 2].map(|()| m.csd(move || runs.add()));
        m.post(1, first).unwrap();
        // The event loop looks without being rung: the latch is still set when the CPU rests.
        let _ = m.on(1, || m.flush(Budget::DEFAULT));
        let poster = m.thread(None, move || m.post(1, second));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        m.finish(1);
        assert_eq!((runs.get(), m.rings(1)), (2, 2));
    });
}

/// P7, the port's third duty: a ring that comes late, after its entry was run and the next poster has rung. It is a
/// read-modify-write, so the acknowledgement that reads from it sees the other's push as well. Bounds: at most 2
/// preemptions.
#[test]
fn a_late_ring_does_not_hide_another() {
    model_within(2, |m| {
        let runs = m.tally();
        let csds = [(); 2].map(|()| m.csd(move || runs.add()));
        let posters = csds.map(|csd| m.thread(None, move || m.post(1, csd)));
        let _ = m.on(1, || m.flush(Budget::DEFAULT));
        let _ = m.answer(1);
        assert_eq!(posters.map(|poster| poster.join().unwrap()), [Ok(Posted::Queued); 2]);
        m.finish(1);
        assert_eq!(runs.get(), 2);
    });
}

/// P7: a push against a flush that stops at its budget. The head stays as it is, so nobody rings for what comes now; the
/// CPU has rung itself, and what is left over is run. Bounds: two csds and one push.
#[test]
fn a_budget_that_is_used_up_rings_its_own_cpu() {
    model(|m| {
        let log = m.tally();
        let csds = [1, 2, 3].map(|digit| m.csd(move || log.log(digit)));
        m.post(1, csds[0]).unwrap();
        m.post(1, csds[1]).unwrap();
        let poster = m.thread(None, move || m.post(1, csds[2]));
        assert!(m.acknowledge(1));
        assert_eq!(m.on(1, || m.flush(budget(1))), Flushed::More(1));
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        while m.acknowledge(1) {
            let _ = m.on(1, || m.flush(budget(1)));
        }
        assert_eq!(log.get(), 123, "P6, P7: what is left over is older, and is run");
        assert!(!m.on(1, || m.own().has_work()));
    });
}

/// P1, P7: a ring that fails, against another post, and against somebody who rings what is owed. If the debt comes first, that post
/// pays it; if the post does, it is told that somebody has rung, and whoever looks after the first post rings. Bounds: one failure.
#[test]
fn a_ring_that_fails_is_rung_by_somebody() {
    model(|m| {
        let runs = m.tally();
        let [first, second] = [(); 2].map(|()| m.csd(move || runs.add()));
        m.platform().rings_to_fail.set(1);
        let poster = m.thread(None, move || m.post(1, second));
        assert_eq!(m.post(1, first), Ok(Posted::Queued));
        let unrung = m.ring_owed();
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        // The failure may have been the other's, after that.
        assert!(unrung == 0 && m.ring_owed() == 0);
        assert!(m.finish(1));
        assert_eq!(runs.get(), 2);
    });
}

/// P1, P7: a ring that fails, against a flush that is under way and leaves. Nothing is left without a ring or a debt. Bounds: one
/// failure, one push.
#[test]
fn a_ring_that_fails_against_a_flush_that_leaves() {
    model(|m| {
        let runs = m.tally();
        let [first, second] = [(); 2].map(|()| m.csd(move || runs.add()));
        m.post(1, first).unwrap();
        m.platform().rings_to_fail.set(1);
        let poster = m.thread(None, move || m.post(1, second));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        assert_eq!(m.ring_owed(), 0);
        m.finish(1);
        assert_eq!(runs.get(), 2);
    });
}
