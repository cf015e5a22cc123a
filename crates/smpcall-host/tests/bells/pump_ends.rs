//! Executors that drop a pump, or all of their tasks, with calls queued: what happens is defined, and nothing is lost.

use crate::site::{Count, Flag, Site, beside, bounded, counted, eventually};
use smpcall_host::smpcall::{Budget, CallError, Csd, Flushed, Phase};
use smpcall_host::{Machine, Pump, WakerCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Task = Pin<Box<dyn Future<Output = ()>>>;

fn counting() -> (Arc<Count>, Arc<Csd<impl Fn() + Send + Sync + 'static>>) {
    let runs = Arc::new(Count::default());
    let counts = Arc::clone(&runs);
    (runs, counted(move || _ = counts.up()))
}

#[test]
fn a_pump_that_is_dropped_leaves_its_cpu_asleep_and_callers_are_told_that_nobody_can_be_rung() {
    let _bounded = bounded();
    let told = Arc::new(Flag::default());
    let tell = Arc::clone(&told);
    let builder = Machine::builder().attachable(2).stall_timeout(Duration::from_millis(20));
    let site = Site::new(builder.on_call_stall(move |stall| {
        if (stall.target, stall.phase) == (1, Phase::Unrung) {
            tell.set();
        }
    }));
    let left = Flag::default();
    let (runs, csd) = counting();
    beside(
        || {
            left.wait();
            assert_eq!(site.call(1, || 5), Ok(5));
        },
        || {
            let mut here = site.attach_with(1, WakerCell::new()).unwrap();
            for _ in 0..3 {
                let mut pump = Box::pin(here.pump());
                assert_eq!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
                site.post(1, &csd).unwrap();
                // Queued, and the task was woken, and is dropped without having been polled.
                drop(pump);
                assert!(csd.is_pending());
                left.set();
                told.wait();
                // Polled, parked, or pumped again: it runs.
                assert!(here.poll(Budget::DEFAULT) != Flushed::All(0));
                assert!(!csd.is_pending());
            }
            // Dropped before anything was posted: the post itself finds that nobody can be rung.
            drop(Box::pin(here.pump()));
            site.post(1, &csd).unwrap();
            assert!(site.is_unrung_racy(1));
            let mut pump = pin!(here.pump());
            assert_eq!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
            assert_eq!((runs.get(), site.is_unrung_racy(1)), (4, false));
            eventually(|| site.counts().stalls > 0);
        },
    );
}

#[test]
fn a_pump_that_is_leaked_leaves_its_cpu_asleep_and_another_goes_on() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let (runs, csd) = counting();
    let mut pump = Box::pin(here.pump());
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    std::mem::forget(pump);
    site.post(0, &csd).unwrap();
    assert!(!site.is_unrung_racy(0), "its waker was woken");
    let mut pump = pin!(here.pump());
    assert_eq!(pump.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    assert_eq!(runs.get(), 1);
}

#[test]
fn p8_executors_that_end_take_the_cpus_that_their_tasks_own_offline() {
    let _bounded = bounded();
    let on_tokio = |task: Task, queue: &dyn Fn()| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        tasks.spawn_local(task);
        tasks.block_on(&runtime, tokio::task::yield_now());
        queue();
    };
    let on_smol = |task: Task, queue: &dyn Fn()| {
        let tasks = smol::LocalExecutor::new();
        tasks.spawn(task).detach();
        smol::block_on(tasks.run(smol::future::yield_now()));
        queue();
    };
    // The tasks are to own what they borrow: for ever.
    let machine: &'static Machine = Box::leak(Box::new(Machine::builder().attachable(1).build().unwrap()));
    let run = |executor: &dyn Fn(Task, &dyn Fn())| {
        let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
        let csds: Vec<_> = (0..600).map(|_| counting()).collect();
        let task = Box::pin(async move { here.pump().await });
        executor(task, &|| csds.iter().for_each(|(_, csd)| _ = machine.post(0, csd).unwrap()));
        // The executor is gone, with the task in it.
        assert!(csds.iter().all(|(runs, csd)| runs.get() == 1 && !csd.is_pending()));
        assert_eq!(machine.call(0, || ()), Err(CallError::Offline));
        assert!(!machine.is_online_racy(0));
    };
    for _ in 0..20 {
        run(&on_tokio);
        run(&on_smol);
    }
}

#[test]
fn a_pump_under_a_frame_of_the_core_is_refused() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    let mut here = site.attach_with(0, WakerCell::new()).unwrap();
    let mut pump = pin!(here.pump());
    let poll = |pump: Pin<&mut Pump<'_, '_>>| {
        catch_unwind(AssertUnwindSafe(|| pump.poll(&mut Context::from_waker(Waker::noop()))))
    };
    // In an iterator that the core asks for the next csd.
    let mut refused = false;
    let (_, csd) = counting();
    let csds = std::iter::once_with(|| {
        refused = poll(pump.as_mut()).is_err();
        &csd
    });
    assert_eq!(site.post_all(0, csds).map(|chain| chain.queued), Ok(1));
    assert!(refused);
    assert!(matches!(poll(pump.as_mut()), Ok(Poll::Pending)));
}
