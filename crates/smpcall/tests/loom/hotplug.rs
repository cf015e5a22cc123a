//! P8, and P2's exception: posts against a CPU that goes offline.

use crate::port::{Machine, Run, model, model_within};
use smpcall::PostError::{self, Offline};
use smpcall::{Coalesced, Csd, Posted};

/// P8: a push against a CPU that goes offline. If the push comes first, it is run; if the mark does, it is refused, and
/// nothing is queued. Bounds: one post.
#[test]
fn accepted_runs_and_refused_is_told() {
    model(|m| run_or_told(m, |csd| m.post(1, csd)));
}

/// CPU 1 goes offline while `post` posts to it.
pub(crate) fn run_or_told(
    m: &'static Machine<false>,
    post: impl FnOnce(&'static Csd<Run>) -> Result<Posted, PostError> + 'static,
) {
    let (csd, runs, poster) = m.post_what_was_written(post);
    let ran = m.on(1, || m.offline()).unwrap();
    match poster.join().unwrap() {
        Ok(Posted::Queued) => assert_eq!((ran, runs.get()), (1, 1), "P8: accepted, and lost"),
        refused => assert_eq!((refused, ran, runs.get()), (Err(Offline { coalesced: Coalesced::No }), 0, 0)),
    }
    assert!(!csd.is_pending());
}

/// P8: the same against a CPU that comes back at once. A look at the head may be of the time before.
#[test]
fn off_and_on_again() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        let poster = m.thread(None, move || m.post(1, csd));
        let mut ran = m.on(1, || m.offline()).unwrap();
        m.on(1, || m.come_online()).unwrap();
        let accepted = poster.join().unwrap().is_ok();
        ran += u32::from(m.finish(1));
        assert_eq!((ran, runs.get()), (u32::from(accepted), u32::from(accepted)));
    });
}

/// P2, P8: a claim that is refused against one that was told Busy by it. If the loser's CAS comes first, the letting go
/// reads from it: the refused poster is told, and sees what the loser wrote. If the letting go does, the loser is
/// refused by itself. Both play both parts. Bounds: two posters, at most 2 preemptions.
#[test]
fn a_refused_post_answers_for_those_told_busy() {
    model_within(2, |m| {
        let (data, seen) = ([m.word(), m.word()], m.tally());
        let csd = m.csd(move || seen.or(data[0].get() | data[1].get() << 1));
        let post = move |who: usize| {
            data[who].set(1);
            let answer = m.post(1, csd);
            if answer == (Err(Offline { coalesced: Coalesced::Yes })) {
                assert_eq!(data[1 - who].get(), 1, "P2: told, and does not see what it owes");
            }
            answer
        };
        let posters = [0, 1].map(|who| m.thread(None, move || post(who)));
        let _ = m.on(1, || m.offline()).unwrap();
        let answers = posters.map(|poster| poster.join().unwrap());
        for who in [0, 1] {
            let relied = answers[who] == Ok(Posted::Busy { cpu: 1 }) && seen.get() >> who & 1 == 0;
            let owed = answers[1 - who] == Err(Offline { coalesced: Coalesced::Yes });
            assert!(relied == owed, "P2: {answers:?}, seen {}", seen.get());
        }
    });
}

/// P2, P8: a claim that is refused, against one that cancels it and posts it again. The canceller has the old debt; what
/// it is told Busy for is new, and the refused poster answers for that. Bounds: at most 2 preemptions.
#[test]
fn a_refused_post_answers_for_one_that_revived_it() {
    model_within(2, |m| {
        let (data, seen) = (m.word(), m.tally());
        let csd = m.csd(move || seen.or(data.get()));
        let owner = m.thread(None, move || {
            let told = m.post(1, csd) == Err(Offline { coalesced: Coalesced::Yes });
            assert!(!told || data.get() == 1, "P2: told, and does not see what it owes");
            told
        });
        let reviver = m.thread(None, move || {
            let _ = csd.cancel();
            data.set(1);
            m.post(1, csd) == Ok(Posted::Busy { cpu: 1 })
        });
        let _ = m.on(1, || m.offline()).unwrap();
        let (told, busy) = (owner.join().unwrap(), reviver.join().unwrap());
        assert!(!busy || told || seen.get() == 1, "P2: told Busy, and nobody knows");
    });
}
