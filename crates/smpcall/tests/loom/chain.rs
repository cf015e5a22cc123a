//! `post_all`: a chain of csds with one push (P1, P2, P6, P7, P8).

use crate::port::{model, model_within};
use smpcall::PostError::Offline;
use smpcall::{Coalesced, Csd, Posted};

/// P6, P7: a chain against a flush. All of it is taken, in the order given, or none; and it rings once at most. Bounds: a
/// chain of two, behind one entry.
#[test]
fn a_chain_against_a_flush() {
    model(|m| {
        let log = m.tally();
        let csds = m.keep([1, 2, 3].map(|digit| Csd::new(move || log.log(digit))));
        m.post(1, &csds[0]).unwrap();
        let poster = m.thread(None, move || m.post_all(1, &csds[1..]));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap().map(|chain| (chain.queued, chain.busy)), Ok((2, 0)));
        let rings = m.rings(1);
        assert_eq!(rings, 1 + u32::from(m.finish(1)));
        assert_eq!(log.get(), 123);
    });
}

/// P8: a chain against a CPU that goes offline: all of it runs, or all of it is let go.
#[test]
fn a_chain_against_offline() {
    model(|m| {
        let log = m.tally();
        let csds = m.keep([1, 2].map(|digit| Csd::new(move || log.log(digit))));
        let poster = m.thread(None, move || m.post_all(1, csds));
        let ran = m.on(1, || m.offline()).unwrap();
        match poster.join().unwrap() {
            Ok(chain) => assert_eq!((chain.queued, ran, log.get()), (2, 2, 12)),
            refused => {
                assert_eq!((refused, ran, log.get()), (Err(Offline { coalesced: Coalesced::No }), 0, 0))
            }
        }
        assert!(csds.iter().all(|csd| !csd.is_pending()));
    });
}

/// P2, P8: a chain that is refused, against one that was told Busy by a claim of it: the chain's poster is told, and sees
/// what that one wrote. Bounds: a chain of two, of which the older is relied on; at most 2 preemptions.
#[test]
fn a_refused_chain_answers_for_those_told_busy() {
    model_within(2, |m| {
        let (data, seen) = (m.word(), m.tally());
        let csds = m.keep([0, 1].map(|_| Csd::new(move || seen.or(data.get()))));
        let chain = m.thread(None, move || {
            let answer = m.post_all(1, csds);
            let told = answer == Err(Offline { coalesced: Coalesced::Yes });
            assert!(!told || data.get() == 1, "P2: told, and does not see what it owes");
            told
        });
        let loser = m.thread(None, move || {
            data.set(1);
            m.post(1, &csds[0]) == Ok(Posted::Busy { cpu: 1 })
        });
        let _ = m.on(1, || m.offline()).unwrap();
        let (told, busy) = (chain.join().unwrap(), loser.join().unwrap());
        assert!(!busy || told || seen.get() == 1, "P2: told Busy, and nobody knows");
    });
}
