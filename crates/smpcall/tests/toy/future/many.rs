//! One call to several CPUs: all answers, or one after the other.

use super::{Tracked, poll, waker};
use crate::port::{flush, log, logged, on, rings, start};
use smpcall::{AsyncCallError, CpuSet, To};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// One poll of what is not `Unpin`.
fn poll_once<F: Future>(future: F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn all_answers_in_the_order_of_the_cpus_and_each_cpus_end() {
    let machine = start(3);
    let (wakes, waker) = waker();
    let mut many = machine.call_async_many(To::All, |cpu| {
        log(cpu);
        assert_ne!(cpu, 1, "meant");
        cpu * 2
    });
    assert_eq!(rings(), []);
    assert!(on(0, || poll(&mut many, &waker)).is_pending());
    assert_eq!(rings(), [0, 1, 2]);
    for cpu in [2, 1] {
        let _ = flush(cpu);
        assert!(poll(&mut many, &waker).is_pending());
    }
    assert_eq!(wakes.get(), 0, "the first is still awaited");
    let _ = flush(0);
    assert_eq!((wakes.get(), logged()), (1, vec![2, 1, 0]));
    let Poll::Ready(answers) = poll(&mut many, &waker) else { panic!("all have answered") };
    let mut answers = answers.into_iter();
    assert!(matches!(answers.next(), Some((0, Ok(0)))));
    assert!(matches!(answers.next(), Some((1, Err(AsyncCallError::Panicked(_))))));
    assert!(matches!(answers.next(), Some((2, Ok(4)))));
    assert!(matches!(answers.next(), Some((3, Err(AsyncCallError::Offline)))));
    assert!(answers.next().is_none());
    assert_eq!(machine.platform().caught.get(), 0);
}

#[test]
fn whom_to_names() {
    let machine = start(4);
    let (_, waker) = waker();
    let numbers = |to: To<'_>| {
        let mut many = on(1, || machine.call_async_many(to, |cpu| cpu));
        assert!(poll(&mut many, &waker).is_pending());
        (0..4).for_each(|cpu| _ = flush(cpu));
        match poll(&mut many, &waker) {
            Poll::Ready(answers) => answers.into_iter().map(|(cpu, _)| cpu).collect::<Vec<_>>(),
            Poll::Pending => panic!("all have flushed"),
        }
    };
    let mask: CpuSet<1> = [3, 1].into_iter().collect();
    assert_eq!(numbers(To::All), [0, 1, 2, 3]);
    assert_eq!(numbers(To::Others), [0, 2, 3]);
    assert_eq!(numbers(To::Mask(&mask)), [1, 3]);
    assert_eq!(numbers(To::If(&mut |cpu| cpu % 2 == 0)), [0, 2]);
    let beyond: CpuSet<1> = [9].into_iter().collect();
    let mut many = machine.call_async_many(To::Mask(&beyond), |cpu| cpu);
    let Poll::Ready(answers) = poll(&mut many, &waker) else { panic!("there is none") };
    assert!(matches!(answers[..], [(9, Err(AsyncCallError::NoSuchCpu))]));
    let mut none = machine.call_async_many(To::If(&mut |_| false), |cpu| cpu);
    assert!(matches!(poll(&mut none, &waker), Poll::Ready(answers) if answers.is_empty()));
}

#[test]
fn one_after_the_other_as_they_come() {
    let machine = start(3);
    let (wakes, waker) = waker();
    let mut many = machine.call_async_many(To::If(&mut |cpu| cpu < 3), |cpu| cpu + 10);
    assert!(poll_once(many.next(), &waker).is_pending());
    assert_eq!(rings(), [0, 1, 2]);
    for (came, cpu) in (1..).zip([2, 0]) {
        let _ = flush(cpu);
        assert_eq!(wakes.get(), came);
        let Poll::Ready(Some((from, Ok(answer)))) = poll_once(many.next(), &waker) else {
            panic!("it is there")
        };
        assert_eq!((from, answer), (cpu, cpu + 10));
        assert!(poll_once(many.next(), &waker).is_pending());
    }
    // The rest, as a whole.
    assert!(poll(&mut many, &waker).is_pending());
    let _ = flush(1);
    let Poll::Ready(rest) = poll(&mut many, &waker) else { panic!("it is there") };
    assert!(matches!(rest[..], [(1, Ok(11))]));
    assert!(matches!(poll_once(many.next(), &waker), Poll::Ready(None)));
}

#[test]
fn dropped_those_that_have_not_begun_do_not_run() {
    let machine = start(3);
    let (wakes, waker) = waker();
    on(0, || drop(machine.call_async_many(To::All, |_| log(9))));
    let mut many = machine.call_async_many(To::Others, Tracked);
    assert!(on(0, || poll(&mut many, &waker)).is_pending());
    let _ = flush(1);
    on(0, || drop(many));
    assert_eq!(logged(), [11], "what CPU 1 gave back");
    let _ = flush(2);
    assert_eq!(logged(), []);
    assert!(wakes.get() <= 1 && machine.platform().caught.get() == 0);
}
