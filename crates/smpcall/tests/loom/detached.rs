//! P1, P5, P6, P8: detached calls, whose places their targets give back.

use crate::port::{Alone, model, model_within};
use smpcall::DETACHED_MAX;
use smpcall::DetachedError::{Full, Offline};

/// A function that may send_and_wait: loom runs all threads of a model on one.
fn sent<T: 'static>(f: fn(&'static T), with: &'static T) -> impl FnOnce() + Copy + Send + 'static {
    let with = Alone(with);
    move || f(with.get())
}

/// P1: a detached call against the flush that runs it, which sees what its caller wrote. Bounds: one call.
#[test]
fn the_flush_sees_what_travels() {
    model(|m| {
        let both = m.keep((m.place(), m.tally()));
        let poster = m.thread(None, move || {
            both.0.write(7);
            m.post_detached(
                1,
                sent(
                    |both| {
                        assert_eq!(both.0.read(), 7);
                        both.1.add()
                    },
                    both,
                ),
            )
        });
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(()));
        m.finish(1);
        assert_eq!(both.1.get(), 1);
    });
}

/// P5, P11: a claim of a place against the run that gives it back: its payload is written anew only after the target has
/// copied it. Bounds: all places are in flight first; one poster, at most 2 preemptions.
#[test]
fn a_place_is_filled_anew_only_when_it_was_unpacked() {
    model_within(2, |m| {
        let runs = m.tally();
        for _ in 0..DETACHED_MAX {
            m.post_detached(1, sent(|runs| runs.add(), runs)).unwrap();
        }
        let poster = m.thread(None, move || m.post_detached(1, sent(|runs| runs.add(), runs)));
        let _ = m.answer(1);
        let more = match poster.join().unwrap() {
            Ok(()) => 1,
            refused => {
                assert_eq!(refused, Err(Full));
                0
            }
        };
        m.finish(1);
        assert_eq!(runs.get(), DETACHED_MAX as u32 + more);
    });
}

/// P3: two claims of the last place. One wins, and the other is told that there is no room. Bounds: no flush meanwhile.
#[test]
fn the_last_place_goes_to_one() {
    model(|m| {
        let runs = m.tally();
        let post = move || m.post_detached(1, sent(|runs| runs.add(), runs)).is_ok();
        for _ in 1..DETACHED_MAX {
            assert!(post());
        }
        let other = m.thread(None, post);
        let ours = post();
        assert!(ours != other.join().unwrap(), "P3: one of two");
        m.finish(1);
        assert_eq!(runs.get(), DETACHED_MAX as u32);
    });
}

/// P8: a detached call against a CPU that goes offline and comes back. Accepted, it runs; refused, it gives its place back
/// to the next. Bounds: at most 2 preemptions.
#[test]
fn accepted_runs_and_refused_gives_the_place_back() {
    model_within(2, |m| {
        let runs = m.tally();
        let post = move || m.post_detached(1, sent(|runs| runs.add(), runs));
        let poster = m.thread(None, post);
        let ran = m.on(1, || m.offline()).unwrap();
        let accepted = match poster.join().unwrap() {
            Ok(()) => 1,
            refused => {
                assert_eq!(refused, Err(Offline));
                0
            }
        };
        assert_eq!((ran, runs.get()), (accepted, accepted));
        m.on(1, || m.come_online()).unwrap();
        for _ in 0..DETACHED_MAX {
            assert_eq!(post(), Ok(()));
        }
        m.finish(1);
        assert_eq!(runs.get(), accepted + DETACHED_MAX as u32);
    });
}

/// P6: two detached calls of one sender against a flush, in two places or in one that is given back in between.
#[test]
fn detached_calls_of_one_sender_run_in_order() {
    model_within(2, |m| {
        let log = m.tally();
        let sender = m.thread(None, move || {
            let first = m.post_detached(1, sent(|log| log.log(1), log));
            [first, m.post_detached(1, sent(|log| log.log(2), log))]
        });
        let _ = m.answer(1);
        assert_eq!(sender.join().unwrap(), [Ok(()), Ok(())]);
        m.finish(1);
        assert_eq!(log.get(), 12);
    });
}
