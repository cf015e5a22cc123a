//! The waker doorbell under wakers that panic, wake from inside, or are nobody's.

use crate::site::{Count, Site, bounded, counted};
use smpcall_host::smpcall::{Budget, Csd, Flushed};
use smpcall_host::{Machine, WakerCell};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

fn site() -> Site {
    Site::new(Machine::builder().attachable(1))
}

fn counting() -> (Arc<Count>, Arc<Csd<impl Fn() + Send + Sync + 'static>>) {
    let runs = Arc::new(Count::default());
    let counts = Arc::clone(&runs);
    (runs, counted(move || _ = counts.up()))
}

/// A waker that counts, and then does something.
struct Then<F> {
    wakes: Count,
    then: F,
}

impl<F: Fn() + Send + Sync + 'static> Then<F> {
    fn new(then: F) -> (Arc<Self>, Waker) {
        let this = Arc::new(Self { wakes: Count::new(), then });
        (Arc::clone(&this), this.into())
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for Then<F> {
    fn wake(self: Arc<Self>) {
        self.wakes.up();
        (self.then)();
    }
}

#[test]
fn p7_a_task_is_woken_once_for_each_sleep() {
    let _bounded = bounded();
    let site = site();
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (woken, waker) = Then::new(|| ());
    let mut context = Context::from_waker(&waker);
    let csds: Vec<_> = (0..3).map(|_| counting()).collect();
    let mut pump = pin!(here.pump());
    assert_eq!(pump.as_mut().poll(&mut context), Poll::Pending);
    for round in 1..=20 {
        csds.iter().for_each(|(_, csd)| _ = site.post(0, csd).unwrap());
        assert_eq!(woken.wakes.get(), 2 * round - 1);
        // It runs them, and looks once more before it sleeps.
        assert_eq!(pump.as_mut().poll(&mut context), Poll::Pending);
        assert!(csds.iter().all(|(runs, _)| runs.get() == round));
        assert_eq!(woken.wakes.get(), 2 * round);
        assert_eq!(pump.as_mut().poll(&mut context), Poll::Pending);
    }
    assert_eq!(woken.wakes.get(), 40, "it has nothing more to do");
    // The last waker counts.
    let (other, second) = Then::new(|| ());
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&second)), Poll::Pending);
    site.post(0, &csds[0].1).unwrap();
    assert_eq!((woken.wakes.get(), other.wakes.get()), (40, 1));
}

#[test]
fn what_comes_to_a_pump_that_has_just_run_something_wakes_nobody() {
    let _bounded = bounded();
    let site = site();
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (woken, waker) = Then::new(|| ());
    let mut context = Context::from_waker(&waker);
    let (runs, csd) = counting();
    let mut pump = pin!(here.pump());
    site.post(0, &csd).unwrap();
    for round in 1..=20 {
        assert_eq!(pump.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!((runs.get(), woken.wakes.get()), (round, round), "by itself");
        site.post(0, &csd).unwrap();
        assert_eq!(woken.wakes.get(), round);
    }
}

#[test]
fn a_pump_ends_at_its_first_poll_after_the_machines_end() {
    let _bounded = bounded();
    let site = site();
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (woken, waker) = Then::new(|| ());
    let (runs, csd) = counting();
    let mut pump = pin!(here.pump());
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    site.post(0, &csd).unwrap();
    site.shutdown().unwrap();
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(()));
    assert_eq!((runs.get(), woken.wakes.get()), (1, 1), "all that came before has run");
}

#[test]
fn a_pump_that_has_more_than_its_budget_wakes_itself() {
    let _bounded = bounded();
    let site = site();
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (woken, waker) = Then::new(|| ());
    let csds: Vec<_> = (0..5).map(|_| counting()).collect();
    csds.iter().for_each(|(_, csd)| _ = site.post(0, csd).unwrap());
    let mut pump = pin!(here.pump_with(Budget::calls(std::num::NonZeroU32::new(2).unwrap())));
    for (wakes, ran) in [(1, 2), (2, 4), (3, 5), (3, 5)] {
        assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        let runs: u32 = csds.iter().map(|(runs, _)| runs.get()).sum();
        assert_eq!((woken.wakes.get(), runs), (wakes, ran));
    }
}

#[test]
fn a_waker_that_panics_fails_the_ring_and_nothing_else() {
    let _bounded = bounded();
    let site = site();
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (runs, csd) = counting();
    {
        let (woken, waker) = Then::new(|| std::panic::resume_unwind(Box::new("meant")));
        let mut pump = pin!(here.pump());
        assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        site.post(0, &csd).unwrap();
        assert_eq!((woken.wakes.get(), site.counts().panics, site.is_unrung_racy(0)), (1, 1, true));
        // It is gone: the next one to ring finds nobody, until the task is polled.
        assert_eq!(site.ring_owed(), 1);
        assert_eq!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        assert_eq!((runs.get(), site.is_unrung_racy(0)), (1, false));
    }
    site.post(0, &csd).unwrap();
    assert_eq!((here.poll(Budget::DEFAULT), runs.get()), (Flushed::All(1), 2));
}

#[test]
fn a_waker_that_wakes_another_cpus_task_from_inside() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let other = Site::new(Machine::builder().owned(1));
    let (runs, csd) = counting();
    let (machine, inside) = (other.handle(), Arc::clone(&csd));
    // Which no doorbell may do, and a waker may: it posts to another machine.
    let (woken, waker) = Then::new(move || _ = machine.post(0, &inside).unwrap());
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (_, first) = counting();
    let mut pump = pin!(here.pump());
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    site.post(0, &first).unwrap();
    other.wait(&csd).unwrap();
    assert_eq!((woken.wakes.get(), runs.get()), (1, 1));
}
