//! `cancel` against the flush, and what it owes (P1, P2).

use crate::port::{model, model_within};
use smpcall::{Cancel, Coalesced, Posted};

const REMOVED: Cancel = Cancel::Removed { coalesced: Coalesced::No };

/// P1: `cancel` against the unlock. If it comes first, the flush sees it and skips the run. If the unlock does, there is
/// nothing to take away. Bounds: one csd that nobody else posts.
#[test]
fn cancel_against_flush() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.post(1, csd).unwrap();
        let canceller = m.thread(None, || csd.cancel());
        let _ = m.answer(1);
        match canceller.join().unwrap() {
            Cancel::NotPending => assert_eq!(runs.get(), 1),
            removed => assert_eq!((removed, runs.get()), (REMOVED, 0)),
        }
    });
}

/// P1, P2: two that cancel one run. One takes it away, the other finds it taken: only one owes it.
#[test]
fn of_two_cancellers_one_removes() {
    model(|m| {
        let csd = m.csd(|| ());
        m.post(1, csd).unwrap();
        let other = m.thread(None, || csd.cancel());
        let both = (csd.cancel(), other.join().unwrap());
        assert!(matches!(both, (REMOVED, Cancel::NotPending) | (Cancel::NotPending, REMOVED)), "{both:?}");
    });
}

/// P2: `cancel` against a post. If the loser comes first, the canceller is told, and sees what it wrote. If the
/// cancelling does, the post gives the run back. Bounds: no flush meanwhile.
#[test]
fn a_canceller_sees_those_told_busy() {
    model(|m| {
        let (data, seen) = (m.word(), m.tally());
        let csd = m.csd(move || seen.or(data.get()));
        m.post(1, csd).unwrap();
        let loser = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        let cancel = csd.cancel();
        if cancel == (Cancel::Removed { coalesced: Coalesced::Yes }) {
            assert_eq!(data.get(), 1, "P2: told, and does not see what it owes");
        }
        assert_eq!(loser.join().unwrap(), Ok(Posted::Busy { cpu: 1 }));
        m.finish(1);
        assert_eq!(seen.get() == 0, cancel == (Cancel::Removed { coalesced: Coalesced::Yes }), "{cancel:?}");
    });
}

/// P1, P2: a cancelled csd is posted again, against the flush that lets go of it. If the post comes first, the run is
/// back, and sees what was written. If the unlock does, the post wins a claim of its own. It runs once either way.
#[test]
fn revive_against_flush() {
    model(|m| {
        let (data, seen, runs) = (m.word(), m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
        });
        m.post(1, csd).unwrap();
        assert_eq!(csd.cancel(), REMOVED);
        let poster = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        let _ = m.answer(1);
        let _ = poster.join().unwrap();
        m.finish(1);
        assert_eq!((runs.get(), seen.get()), (1, 1));
    });
}

/// P2: post, cancel and flush at once. Whoever was told Busy was seen by a run, or the canceller was told. Bounds: at most
/// 2 preemptions.
#[test]
fn post_cancel_and_flush() {
    model_within(2, |m| {
        let (data, seen) = (m.word(), m.tally());
        let csd = m.csd(move || seen.or(data.get()));
        m.post(1, csd).unwrap();
        let poster = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        let canceller = m.thread(None, move || {
            let cancel = csd.cancel();
            (cancel, cancel != (Cancel::Removed { coalesced: Coalesced::Yes }) || data.get() == 1)
        });
        let _ = m.answer(1);
        let busy = poster.join().unwrap() == Ok(Posted::Busy { cpu: 1 });
        let (cancel, sees) = canceller.join().unwrap();
        m.finish(1);
        assert!(sees, "P2: told, and does not see what it owes");
        let owed = matches!(cancel, Cancel::Removed { coalesced: Coalesced::Yes });
        assert!(seen.get() == 1 || owed || !busy && cancel == REMOVED, "P2: {cancel:?}, busy {busy}");
    });
}
