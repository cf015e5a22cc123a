//! P2, P8: lazy posts against those who expedite them, and against flushes.

use crate::port::{model, model_within};
use smpcall::PostError::Offline;
use smpcall::{Coalesced, Posted};

/// P2: a lazy post against a plain one of the same csd, and the target's flushes, which come only when it is rung. Whoever is
/// told Busy has its run: if the link comes first, the plain post notifies; if taking `LAZY` off does, the lazy poster. Bounds:
/// one post each, at most 2 preemptions.
#[test]
fn a_lazy_post_against_one_that_expedites_it() {
    model_within(2, |m| {
        let (data, seen, runs) = (m.word(), m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
        });
        let lazy = m.thread(None, move || m.post_lazy(1, csd));
        let expedited = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        // Only a doorbell makes the CPU look.
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        let (lazy, expedited) = (lazy.join().unwrap(), expedited.join().unwrap());
        let rung = m.acknowledge(1);
        if rung {
            let _ = m.answer(1);
        }
        match (lazy, expedited) {
            (Ok(Posted::Queued), Ok(Posted::Busy { cpu: 1 }))
            | (Ok(Posted::Busy { cpu: 1 }), Ok(Posted::Queued)) => {
                assert_eq!((runs.get(), seen.get()), (1, 1), "P2: told Busy, and nobody rang");
            }
            // The plain one has run before: the lazy one need not.
            both => assert!(both == (Ok(Posted::Queued), Ok(Posted::Queued)) && seen.get() == 1, "{both:?}"),
        }
    });
}

/// P1: a lazy post against the flush of a plain one. It rides along, or with the next, and its headers are published. Bounds:
/// one post each.
#[test]
fn a_lazy_post_against_a_flush() {
    model(|m| {
        let (csd, runs, poster) = m.post_what_was_written(|csd| m.post_lazy(1, csd));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        assert_eq!(m.rings(1), 0);
        let _ = m.answer(1);
        assert_eq!((runs.get(), csd.is_pending()), (1, false));
    });
}

/// P2: two that expedite the same lazy csd, against its flush. Both are seen. Bounds: the csd is linked already; at most 2
/// preemptions.
#[test]
fn two_that_expedite_are_both_seen() {
    model_within(2, |m| {
        let (data, seen) = ([m.word(), m.word()], m.tally());
        let csd = m.csd(move || seen.or(data[0].get() | data[1].get() << 1));
        m.post_lazy(1, csd).unwrap();
        let posters = [0, 1].map(|who| {
            m.thread(None, move || {
                data[who].set(1);
                let _ = m.post(1, csd);
            })
        });
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        assert_eq!(seen.get(), 3, "P2");
    });
}

/// P8: a lazy post against a CPU that goes offline. If its push comes first, it is run; if the mark does, it is refused.
#[test]
fn accepted_runs_and_refused_is_told() {
    model(|m| crate::hotplug::run_or_told(m, |csd| m.post_lazy(1, csd)));
}

/// P2, P8: a lazy claim that is refused against a plain post that was told Busy by it. The refused one is told. Bounds: at
/// most 2 preemptions.
#[test]
fn a_refused_lazy_post_answers_for_those_told_busy() {
    model_within(2, |m| {
        let (data, seen) = (m.word(), m.tally());
        let csd = m.csd(move || seen.or(data.get()));
        let lazy = m.thread(None, move || {
            let told = m.post_lazy(1, csd) == Err(Offline { coalesced: Coalesced::Yes });
            assert!(!told || data.get() == 1, "P2: told, and does not see what it owes");
            told
        });
        let expedited = m.thread(None, move || {
            data.set(1);
            m.post(1, csd) == Ok(Posted::Busy { cpu: 1 })
        });
        let _ = m.on(1, || m.offline()).unwrap();
        let (told, busy) = (lazy.join().unwrap(), expedited.join().unwrap());
        assert!(!busy || told || seen.get() == 1, "P2: told Busy, and nobody knows");
    });
}

/// P4: a wait for a run that is being posted lazily. It ends, though nobody rings but for the wait: if the link comes first, the
/// wait notifies; if taking `LAZY` off does, the lazy poster. Bounds: the waiter looks once whether anything is pending; the
/// target looks once it is rung; at most 2 preemptions.
#[test]
fn a_wait_expedites_what_is_being_posted_lazily() {
    model_within(2, |m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        let poster = m.thread(None, move || m.post_lazy(1, csd));
        let waiter = m.thread(None, move || match csd.is_pending() {
            true => m.wait_until(csd, 0).is_err(),
            false => false,
        });
        let expedited = waiter.join().unwrap();
        // Of the lazy poster the CPU knows only what the one who notifies it has seen.
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        assert!(!expedited || runs.get() == 1, "P4: waited for, and nobody rang");
        let _ = m.answer(1);
        assert_eq!(runs.get(), 1);
    });
}

/// P2: a lazy post, and one that expedites it, against their CPU's coming online. Whoever finds the list open finds the mailbox open
/// too. Bounds: one poster, at most 2 preemptions.
#[test]
fn expedited_while_its_cpu_comes_online() {
    model_within(2, |m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.on(1, || m.offline()).unwrap();
        let poster = m.thread(None, move || (m.post_lazy(1, csd), m.post(1, csd)));
        m.on(1, || m.come_online()).unwrap();
        let both = poster.join().unwrap();
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        match both {
            (Ok(Posted::Queued), Ok(Posted::Busy { cpu: 1 }))
            | (Err(Offline { coalesced: Coalesced::No }), Ok(Posted::Queued)) => {
                assert_eq!(runs.get(), 1, "P2: told Busy, and nobody rang");
            }
            both => {
                let refused = Err(Offline { coalesced: Coalesced::No });
                assert_eq!((both, runs.get()), ((refused, refused), 0));
            }
        }
    });
}
