//! P1, P2, P3, P5, P6: asynchronous posts against one another and against a flush.

use crate::port::{Alone, model, model_within};
use smpcall::Posted;

/// P1: a post against the flush that runs it. If the push comes first, the flush runs the csd and sees all that its
/// poster wrote. If the flush's look does, it finds nothing, and the bell is for the next. Bounds: one post.
#[test]
fn push_publishes_the_headers() {
    model(|m| {
        let (_, runs, poster) = m.post_what_was_written(|csd| m.post(1, csd));
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        m.finish(1);
        assert_eq!(runs.get(), 1);
    });
}

/// P1, P3: two claims of a free csd, for two CPUs that do not flush meanwhile. Whichever CAS comes first wins; the other
/// is told Busy by the winner's CPU, and the one run sees what both wrote. Leaves out the unlock.
#[test]
fn two_posters_one_wins_and_busy_names_its_cpu() {
    model(|m| {
        let (data, seen, runs) = ([m.word(), m.word()], m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data[0].get() | data[1].get() << 1);
        });
        let post = move |cpu: u32| {
            data[cpu as usize].set(1);
            m.post(cpu, csd)
        };
        let other = m.thread(None, move || post(1));
        let ours = post(0);
        let winner = match (ours, other.join().unwrap()) {
            (Ok(Posted::Queued), Ok(Posted::Busy { cpu: 0 })) => 0,
            (Ok(Posted::Busy { cpu: 1 }), Ok(Posted::Queued)) => 1,
            both => panic!("P3: {both:?}"),
        };
        assert!(m.finish(winner) && !m.finish(1 - winner));
        assert_eq!((runs.get(), seen.get()), (1, 3));
    });
}

/// P1, P3: three claims of a free csd. One wins, the others are told Busy, and the csd is queued once. Bounds: at most 2
/// preemptions. Leaves out the unlock.
#[test]
fn three_posters_one_wins() {
    model_within(2, |m| {
        let runs = m.tally();
        let csd = m.csd(move || runs.add());
        let post = move || match m.post(1, csd) {
            Ok(Posted::Queued) => 1,
            lost => {
                assert_eq!(lost, Ok(Posted::Busy { cpu: 1 }));
                0
            }
        };
        let others = [(); 2].map(|()| m.thread(None, post));
        let wins: u32 = post() + others.map(|other| other.join().unwrap()).iter().sum::<u32>();
        assert_eq!(wins, 1);
        assert!(m.finish(1) && !csd.is_pending());
        assert_eq!(runs.get(), 1);
    });
}

/// P2, P3: two lost posts against the unlock. The second to come finds `COALESCED` set already, and must write all the same:
/// the swap has to read from both. Bounds: the CPU goes offline, so that whoever comes after the run is refused; what
/// a refused one then owes is another model's. At most 2 preemptions.
#[test]
fn two_losers_are_both_seen() {
    model_within(2, |m| {
        let (data, seen) = ([m.word(), m.word()], m.tally());
        let csd = m.csd(move || seen.or(data[0].get() | data[1].get() << 1));
        m.post(1, csd).unwrap();
        let losers = [0, 1].map(|who| {
            m.thread(None, move || {
                data[who].set(1);
                m.post(1, csd)
            })
        });
        assert_eq!(m.on(1, || m.offline()), Ok(1));
        let answers = losers.map(|loser| loser.join().unwrap());
        assert!(!answers.contains(&Ok(Posted::Queued)), "it is queued, or the CPU is offline");
        if answers == [Ok(Posted::Busy { cpu: 1 }); 2] {
            assert_eq!(seen.get(), 3, "P2: told Busy, and the run has not seen it");
        }
    });
}

/// P2: a lost post against the unlock. If the loser's CAS comes first, the unlock's swap reads from it, and the function
/// sees its write. If the unlock does, the post wins a claim of its own. Bounds: one loser, one run.
#[test]
fn busy_means_that_the_run_sees_it() {
    model(|m| {
        let (data, seen) = (m.word(), m.tally());
        let csd = m.csd(move || seen.or(data.get()));
        m.post(1, csd).unwrap();
        let poster = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        let _ = m.answer(1);
        let lost = poster.join().unwrap() == Ok(Posted::Busy { cpu: 1 });
        assert!(!lost || seen.get() == 1, "P2: told Busy, and the run is over and has not seen it");
        m.finish(1);
        assert_eq!(seen.get(), 1);
    });
}

/// P2, P11: a post against two runs that follow one another. It is told Busy by the first claim or by the second, or wins
/// one between or after them; then the fields it writes are those that the last flush has read. Bounds: two runs, at most 2
/// preemptions.
#[test]
fn a_post_against_two_runs() {
    model_within(2, |m| {
        let (data, seen, runs) = (m.word(), m.tally(), m.tally());
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
        });
        m.post(1, csd).unwrap();
        let poster = m.thread(None, move || {
            data.set(1);
            m.post(1, csd)
        });
        let _ = m.answer(1);
        let mut oks = 1 + u32::from(m.post(1, csd).is_ok_and(Posted::is_queued));
        let _ = m.answer(1);
        oks += u32::from(poster.join().unwrap() == Ok(Posted::Queued));
        m.finish(1);
        assert_eq!((runs.get(), seen.get()), (oks, 1));
    });
}

/// P5: a post from inside the function against one from outside. The csd is free before its function starts, so one of
/// the two wins the next claim and the other is told Busy; or the one from outside was told so by the first run.
/// Bounds: one post from inside.
#[test]
fn posted_again_from_inside() {
    model(|m| {
        let (data, seen, runs, oks) = (m.word(), m.tally(), m.tally(), m.tally());
        let post = m.keep(std::cell::OnceCell::<Box<dyn Fn()>>::new());
        let inside = Alone(post);
        let csd = m.csd(move || {
            runs.add();
            seen.or(data.get());
            if runs.get() == 1 {
                inside.get().get().unwrap()();
            }
        });
        let again = move || match m.post(1, csd) {
            Ok(Posted::Queued) => oks.add(),
            lost => assert_eq!(lost, Ok(Posted::Busy { cpu: 1 })),
        };
        assert!(post.set(Box::new(again)).is_ok());
        again();
        let poster = m.thread(None, move || {
            data.set(1);
            again();
        });
        let _ = m.answer(1);
        poster.join().unwrap();
        m.finish(1);
        assert!(runs.get() == oks.get() && runs.get() >= 2 && seen.get() == 1);
    });
}

/// P6: two posts of one sender against a flush. Taken together or one by one, they run in the order posted. Bounds: one
/// sender; with several there is no order between them to keep.
#[test]
fn posts_of_one_sender_run_in_order() {
    model(|m| {
        let log = m.tally();
        let csds = m.keep([1, 2].map(|digit| smpcall::Csd::new(move || log.log(digit))));
        let sender = m.thread(None, move || csds.each_ref().map(|csd| m.post(1, csd)));
        let _ = m.answer(1);
        assert_eq!(sender.join().unwrap(), [Ok(Posted::Queued); 2]);
        m.finish(1);
        assert_eq!(log.get(), 12);
    });
}

/// P3, P11: one csd, posted to two machines at once: one of them has it, and the other is told which CPU it is queued for.
/// Bounds: one post each.
#[test]
fn of_two_machines_one_has_it() {
    model(|m| {
        let (other, runs) = (m.another(), m.tally());
        let csd = m.csd(move || runs.add());
        let poster = m.thread(None, move || other.post(1, csd));
        let ours = m.post(0, csd);
        let has_it = match (ours, poster.join().unwrap()) {
            (Ok(Posted::Queued), Ok(Posted::Busy { cpu: 0 })) => (true, false),
            (Ok(Posted::Busy { cpu: 1 }), Ok(Posted::Queued)) => (false, true),
            both => panic!("{both:?}"),
        };
        assert_eq!(((m.finish(0), other.finish(1)), runs.get()), (has_it, 1));
    });
}
