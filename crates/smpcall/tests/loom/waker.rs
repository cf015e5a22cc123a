//! A csd as waker: the task of the host's example `executor`, whose file these models compile. The counts are std's, which loom
//! does not see; the orders in which the steps come are its own.

#[path = "../../../smpcall-host/examples/executor/task.rs"]
mod task;

use crate::port::{Machine, Tally, Word, model, model_within};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use task::{Home, Task};

/// A model's CPU 1.
struct Cpu(&'static Machine<false>);

impl Home for Cpu {
    fn post(&self, task: &Arc<Task<Self>>) {
        let _ = self.0.post(1, task);
    }
}

/// Notes when its future is dropped.
struct Freed(&'static Tally);

impl Freed {
    fn is_freed(&self) -> bool {
        self.0.get() != 0
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// What polls and drops of a task leave behind.
#[derive(Clone, Copy)]
struct Seen {
    polls: &'static Tally,
    last: &'static Tally,
    freed: &'static Tally,
}

impl Seen {
    fn new(m: &Machine<false>) -> Self {
        Self { polls: m.tally(), last: m.tally(), freed: m.tally() }
    }
}

/// A task whose polls note what they see of the words, a bit for each, and then ask `poll`, which is given the poll's number.
fn task<const N: usize>(
    m: &'static Machine<false>,
    words: [&'static Word; N],
    seen: Seen,
    poll: impl Fn(u32, &Waker) -> Poll<()> + Send + 'static,
) -> Arc<Task<Cpu>> {
    let inside = Freed(seen.freed);
    let future = poll_fn(move |cx: &mut Context<'_>| {
        assert!(!inside.is_freed(), "P11");
        seen.polls.add();
        let bits = words.iter().enumerate().map(|(bit, word)| word.get() << bit);
        seen.last.set(bits.sum());
        poll(seen.polls.get(), cx.waker())
    });
    Task::new(Cpu(m), future)
}

/// P2: a wake against the flush that polls for an earlier one. If the waker's write to the state comes first, that poll sees what
/// the waker wrote; if the unlock does, the wake queues the task again. Bounds: one wake.
#[test]
fn a_wake_against_the_poll() {
    model(|m| {
        let (word, seen) = (m.word(), Seen::new(m));
        let task = task(m, [word], seen, |_, _| Poll::Pending);
        task.wake_by_ref();
        let waker = m.thread(None, move || {
            word.set(1);
            task.wake();
        });
        let _ = m.answer(1);
        waker.join().unwrap();
        m.finish(1);
        assert_eq!((seen.last.get(), seen.freed.get()), (1, 1), "P2, P11");
        assert!((1..=2).contains(&seen.polls.get()));
    });
}

/// P2, P3: the same with two wakers, of which one may be told Busy by the other's claim. Bounds: at most 2 preemptions.
#[test]
fn two_wakers_against_the_poll() {
    model_within(2, |m| {
        let (words, seen) = ([m.word(), m.word()], Seen::new(m));
        let task = task(m, words, seen, |_, _| Poll::Pending);
        task.wake_by_ref();
        let wakers = [0, 1].map(|who| {
            let task = task.clone();
            m.thread(None, move || {
                words[who].set(1);
                task.wake();
            })
        });
        drop(task);
        let _ = m.answer(1);
        for waker in wakers {
            waker.join().unwrap();
        }
        m.finish(1);
        assert_eq!((seen.last.get(), seen.freed.get()), (3, 1), "P2, P11");
        assert!((1..=3).contains(&seen.polls.get()));
    });
}

/// P5: the first poll wakes its own task, and another waker comes. There is a second poll, and the last one sees what the waker
/// wrote. Bounds: one wake from inside, one from outside.
#[test]
fn a_wake_from_inside_its_own_poll() {
    model(|m| {
        let (word, seen) = (m.word(), Seen::new(m));
        let task = task(m, [word], seen, |poll, waker| {
            if poll == 1 {
                waker.wake_by_ref();
            }
            Poll::Pending
        });
        task.wake_by_ref();
        let waker = m.thread(None, move || {
            word.set(1);
            task.wake();
        });
        let _ = m.answer(1);
        waker.join().unwrap();
        m.finish(1);
        assert_eq!((seen.last.get(), seen.freed.get()), (1, 1), "P2, P11");
        assert!((2..=3).contains(&seen.polls.get()), "P5");
    });
}

/// P1: a wake against the poll that ends the task: before it, it is that poll's; after it, its run finds no future. Bounds: one wake.
#[test]
fn a_wake_after_the_end() {
    model(|m| {
        let seen = Seen::new(m);
        let task = task(m, [], seen, |_, _| Poll::Ready(()));
        task.wake_by_ref();
        let waker = m.thread(None, move || task.wake());
        let _ = m.answer(1);
        waker.join().unwrap();
        m.finish(1);
        assert_eq!((seen.polls.get(), seen.freed.get()), (1, 1));
    });
}

/// P11: the last pointer to a task that waits is a waker that its poll has given away, dropped or woken against the flush. Either
/// way it is freed once, and not while it is polled. Bounds: one wake.
#[test]
fn the_last_drop_is_a_wakers() {
    for wakes in [false, true] {
        model(move |m| {
            let (step, seen) = (m.word(), Seen::new(m));
            let task = task(m, [step], seen, |_, _| Poll::Pending);
            task.wake_by_ref();
            let waker = Waker::from(task);
            let last = m.thread(None, move || {
                // A step that loom sees, since it does not see the count.
                step.set(1);
                if wakes { waker.wake() } else { drop(waker) }
            });
            let _ = m.answer(1);
            last.join().unwrap();
            m.finish(1);
            assert_eq!(seen.freed.get(), 1);
            assert!((1..=1 + u32::from(wakes)).contains(&seen.polls.get()));
        });
    }
}

/// P8, P11: a wake against the end of the executor. Refused or run, the task is freed once; what is accepted is polled.
/// Bounds: one wake.
#[test]
fn a_wake_against_the_executors_end() {
    model(|m| {
        let (word, seen) = (m.word(), Seen::new(m));
        let task = task(m, [word], seen, |_, _| Poll::Pending);
        let waker = m.thread(None, move || {
            word.set(1);
            task.wake();
        });
        let ran = m.on(1, || m.offline()).unwrap();
        waker.join().unwrap();
        assert_eq!((seen.polls.get(), seen.freed.get()), (ran, 1));
        assert_eq!(seen.last.get(), ran, "what was accepted sees what its waker wrote");
    });
}
