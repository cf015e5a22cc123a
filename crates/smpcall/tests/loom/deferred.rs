//! P1, P2, P6, P8: deferred posts against a CPU that goes to user space and comes back, against lazy ones, and against flushes.

use crate::port::{model, model_within};
use smpcall::PostError::Offline;
use smpcall::{Coalesced, Deferred, NotInUser, Posted};

/// P1, P7: a deferred post against its CPU's way to user space. If the post comes first, it rings, and the CPU stays in the kernel
/// until it has flushed; if the mark does, nobody rings, and the entry runs it. Bounds: one post.
#[test]
fn a_post_against_the_way_to_user_space() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        let poster = m.thread(None, move || m.post_deferred(1, csd));
        let went = m.on(1, || m.enter_user());
        match (poster.join().unwrap(), went) {
            (Ok(Deferred::AtEntry), Ok(())) => {
                assert_eq!((m.rings(1), runs.get()), (0, 0), "P7: disturbed");
                assert_eq!((m.on(1, || m.enter_kernel()), runs.get()), (1, 1));
            }
            (Ok(Deferred::Soon), Err(NotInUser::Work)) => {
                assert_eq!(m.rings(1), 1);
                let _ = m.answer(1);
                assert_eq!((runs.get(), m.on(1, || m.enter_user())), (1, Ok(())));
            }
            both => panic!("{both:?}"),
        }
    });
}

/// P1: a deferred post against its CPU's entry into the kernel. What is told "at its entry" has run when the entry's catch-up has, and
/// saw what its poster wrote; what the catch-up missed has rung. Bounds: one post.
#[test]
fn a_post_against_the_entry() {
    model(|m| {
        m.on(1, || m.enter_user()).unwrap();
        let (_, runs, poster) = m.post_what_was_written(|csd| m.post_deferred(1, csd));
        let ran = m.on(1, || m.enter_kernel());
        assert_eq!(ran, runs.get());
        // Kernel code, behind the entry.
        match poster.join().unwrap() {
            Ok(Deferred::AtEntry) => assert_eq!((ran, m.rings(1)), (1, 0), "kernel code ran before it"),
            Ok(Deferred::Soon) => {
                // It may have been notified in time for the catch-up.
                assert!(m.acknowledge(1), "nobody rang");
                let _ = m.answer(1);
                assert_eq!(runs.get(), 1);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// What the kernel did before its CPU went to user space is behind a poster who is told "at its entry". Bounds: one post.
#[test]
fn what_the_kernel_did_before_is_behind_the_poster() {
    model(|m| {
        let used = m.place();
        let csd = m.csd(|| ());
        let poster = m.thread(None, move || {
            if m.post_deferred(1, csd) == Ok(Deferred::AtEntry) {
                // Frees it.
                assert_eq!(used.read(), 7);
            }
        });
        m.on(1, || {
            used.write(7);
            let _ = m.enter_user();
        });
        poster.join().unwrap();
    });
}

/// The same, if another has posted there in between. Bounds: two posters, of whom the first writes nothing; at most 2 preemptions.
#[test]
fn what_the_kernel_did_before_is_behind_a_second_poster() {
    model_within(2, |m| {
        let used = m.place();
        let csds = [(); 2].map(|()| m.csd(|| ()));
        let first = m.thread(None, move || m.post_deferred(1, csds[0]));
        let second = m.thread(None, move || {
            if m.post_deferred(1, csds[1]) == Ok(Deferred::AtEntry) {
                assert_eq!(used.read(), 7);
            }
        });
        m.on(1, || {
            used.write(7);
            let _ = m.enter_user();
        });
        let _ = first.join().unwrap();
        second.join().unwrap();
    });
}

/// P2: a lazy post against a deferred one of the same csd, to a CPU in the kernel that flushes only when it is rung. If the link
/// comes first, the deferred post notifies; if its word does, the lazy poster. Bounds: one post each, at most 2 preemptions.
#[test]
fn a_lazy_post_against_one_that_defers() {
    model_within(2, |m| {
        let (data, seen, runs) = (m.word(), m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
        });
        let lazy = m.thread(None, move || m.post_lazy(1, csd));
        let deferred = m.thread(None, move || {
            data.set(1);
            m.post_deferred(1, csd)
        });
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        let (lazy, deferred) = (lazy.join().unwrap(), deferred.join().unwrap());
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        match (lazy, deferred) {
            (Ok(Posted::Queued), Ok(Deferred::Busy { cpu: 1 }))
            | (Ok(Posted::Busy { cpu: 1 }), Ok(Deferred::Soon)) => {
                assert_eq!((runs.get(), seen.get()), (1, 1), "P2: told Busy, and nobody rang");
            }
            // The deferred one has run before: the lazy one need not.
            both => assert!(both == (Ok(Posted::Queued), Ok(Deferred::Soon)) && seen.get() == 1, "{both:?}"),
        }
    });
}

/// P2: the same in user space. Nobody rings, and the entry sees what both wrote. Bounds: one post each, at most 2 preemptions.
#[test]
fn two_that_defer_one_csd_in_user_space() {
    model_within(2, |m| {
        let (data, seen) = ([m.word(), m.word()], m.tally());
        let csd = m.csd(move || seen.or(data[0].get() | data[1].get() << 1));
        m.on(1, || m.enter_user()).unwrap();
        let posters = [0, 1].map(|who| {
            m.thread(None, move || {
                data[who].set(1);
                m.post_deferred(1, csd)
            })
        });
        let told = posters.map(|poster| poster.join().unwrap());
        assert!(
            told.contains(&Ok(Deferred::AtEntry)) && told.contains(&Ok(Deferred::Busy { cpu: 1 })),
            "{told:?}"
        );
        assert_eq!((m.rings(1), seen.get()), (0, 0), "P7: disturbed");
        m.on(1, || m.enter_kernel());
        assert_eq!(seen.get(), 3, "P2");
    });
}

/// P2: one that is told Busy by a deferred post, against the entry. The run sees it. Bounds: the csd is queued already.
#[test]
fn busy_against_the_entry() {
    model(|m| {
        let (data, seen, runs) = (m.word(), m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
        });
        m.on(1, || m.enter_user()).unwrap();
        assert_eq!(m.post_deferred(1, csd), Ok(Deferred::AtEntry));
        let poster = m.thread(None, move || {
            data.set(1);
            m.post_deferred(1, csd)
        });
        m.on(1, || m.enter_kernel());
        let told = poster.join().unwrap();
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        match told {
            Ok(Deferred::Busy { cpu: 1 }) => assert_eq!((runs.get(), seen.get()), (1, 1), "P2"),
            Ok(Deferred::Soon) => assert_eq!((runs.get(), seen.get()), (2, 1)),
            other => panic!("{other:?}"),
        }
    });
}

/// P1, I40: two deferred posts to a CPU in the kernel, which flushes only when it is rung. Whoever finds that somebody notifies relies on
/// that. Bounds: one post each, at most 2 preemptions.
#[test]
fn two_posts_to_a_cpu_in_the_kernel() {
    model_within(2, |m| {
        let runs = m.tally();
        let posters = [0, 1].map(|_| {
            let csd = m.csd(move || runs.add());
            m.thread(None, move || m.post_deferred(1, csd))
        });
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        for poster in posters {
            assert_eq!(poster.join().unwrap(), Ok(Deferred::Soon));
        }
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        assert_eq!(runs.get(), 2, "nobody rang");
    });
}

/// P1: a deferred post that rings, against the flush of something else: its headers are published. Bounds: one post.
#[test]
fn a_post_against_a_flush() {
    model(|m| {
        let (csd, runs, poster) = m.post_what_was_written(|csd| m.post_deferred(1, csd));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Deferred::Soon));
        let _ = m.answer(1);
        assert_eq!((runs.get(), csd.is_pending()), (1, false));
    });
}

/// P8: a deferred post against a CPU that goes offline.
#[test]
fn accepted_runs_and_refused_is_told() {
    model(|m| {
        crate::hotplug::run_or_told(m, |csd| match m.post_deferred(1, csd)? {
            Deferred::Busy { cpu } => Ok(Posted::Busy { cpu }),
            Deferred::AtEntry | Deferred::Soon => Ok(Posted::Queued),
        });
    });
}

/// P1, P8: a deferred post against its CPU's coming online. What is accepted is rung for. Bounds: one post.
#[test]
fn a_post_while_its_cpu_comes_online() {
    model(|m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        m.on(1, || m.offline()).unwrap();
        let poster = m.thread(None, move || m.post_deferred(1, csd));
        m.on(1, || m.come_online()).unwrap();
        let told = poster.join().unwrap();
        if m.acknowledge(1) {
            let _ = m.answer(1);
        }
        match told {
            Ok(Deferred::Soon) => assert_eq!(runs.get(), 1, "accepted, and nobody rang"),
            other => assert_eq!((other, runs.get()), (Err(Offline { coalesced: Coalesced::No }), 0)),
        }
    });
}
