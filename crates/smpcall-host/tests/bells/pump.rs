//! A CPU as a task: on tokio, on smol, on both at once.

use crate::loops::Flood;
use crate::site::{Count, Flag, Site, bounded, eventually, rounds};
use smpcall_host::smpcall::{Budget, Csd, Flushed};
use smpcall_host::{Attached, Machine, WakerCell};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::Poll;
use std::thread;

#[derive(Clone, Copy)]
enum Runtime {
    Tokio,
    Smol,
}

/// Runs a future on a tokio runtime of this thread alone, with tasks of this thread's.
fn tokio_block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// The same on smol.
fn smol_block_on<F: Future>(future: impl FnOnce(Rc<smol::LocalExecutor<'static>>) -> F) -> F::Output {
    let tasks = Rc::new(smol::LocalExecutor::new());
    smol::block_on(tasks.run(future(Rc::clone(&tasks))))
}

/// Pumps until the flood is over, whose last post wakes this task.
async fn pump_until_over(here: &mut Attached<'_, (), WakerCell>, budget: Budget, flood: &Flood) {
    let mut pump = pin!(here.pump_with(budget));
    std::future::poll_fn(|context| {
        assert!(pump.as_mut().poll(context).is_pending(), "the machine was not shut down");
        if flood.is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn p14_nothing_is_lost_by_a_pump() {
    let _bounded = bounded();
    for budget in [Budget::DEFAULT, Budget::calls(NonZeroU32::new(3).unwrap())] {
        for runtime in [Runtime::Tokio, Runtime::Smol] {
            let (site, flood) = (Site::new(Machine::builder().attachable(1)), Flood::new());
            let mut here = site.attach_with(0, WakerCell::new()).unwrap();
            let pump = pump_until_over(&mut here, budget, &flood);
            flood.beside(&site, || match runtime {
                Runtime::Tokio => tokio_block_on(pump),
                Runtime::Smol => smol_block_on(|_| pump),
            });
            assert_eq!(flood.runs.get(), flood.queued.get());
        }
    }
}

/// Two CPUs whose csds post each other.
static MACHINE: OnceLock<Machine> = OnceLock::new();
static PING: Csd<fn()> = Csd::new(|| hop(1, &PONG));
static PONG: Csd<fn()> = Csd::new(|| hop(0, &PING));
static HOPS: Count = Count::new();
static LAST: LazyLock<Flag> = LazyLock::new(Flag::default);

fn hops() -> u32 {
    rounds(10_000)
}

fn hop(next: u32, csd: &'static Csd<fn()>) {
    if HOPS.up() + 1 == hops() {
        LAST.set();
    } else {
        MACHINE.get().unwrap().post(next, csd).unwrap();
    }
}

#[test]
fn p14_two_runtimes_in_one_process_call_each_other() {
    let _bounded = bounded();
    let machine = MACHINE.get_or_init(|| Machine::builder().attachable(2).build().unwrap());
    // A task beside the pump, as a program has: it has its turn, and calls the other runtime and waits.
    async fn calls(other: u32, yield_now: impl AsyncFn()) {
        let machine = MACHINE.get().unwrap();
        for round in 0..100 {
            while machine.call(other, || round) != Ok(round) {
                yield_now().await;
            }
            yield_now().await;
        }
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            tokio_block_on(async {
                let pump = tokio::task::spawn_local(async {
                    machine.attach_with(0, WakerCell::new()).unwrap().pump().await;
                });
                calls(1, async || tokio::task::yield_now().await).await;
                pump.await.unwrap();
            });
        });
        scope.spawn(|| {
            smol_block_on(|tasks| async move {
                let pump = tasks.spawn(async {
                    machine.attach_with(1, WakerCell::new()).unwrap().pump().await;
                });
                calls(0, async || smol::future::yield_now().await).await;
                pump.await;
            });
        });
        eventually(|| (0..2).all(|cpu| machine.is_online_racy(cpu)));
        machine.post(0, &PING).unwrap();
        LAST.wait();
        assert_eq!(HOPS.get(), hops());
        // Both pumps end by it, and their CPUs go offline.
        machine.shutdown().unwrap();
    });
    assert!(!(0..2).any(|cpu| machine.is_online_racy(cpu)));
}

/// A runtime of this thread alone with these hooks, each of which flushes the CPU that its thread is.
fn hooked(park: Arc<Machine>, unpark: Arc<Machine>) -> tokio::runtime::Runtime {
    let flush = |machine: &Machine| {
        IN_HOOK.set(true);
        let _ = machine.flush_here(Budget::DEFAULT);
        IN_HOOK.set(false);
    };
    tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || flush(&park))
        .on_thread_unpark(move || flush(&unpark))
        .build()
        .unwrap()
}

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

fn attachable() -> Arc<Machine> {
    Arc::new(Machine::builder().attachable(1).build().unwrap())
}

#[test]
fn what_woke_a_runtime_runs_in_its_hook_before_the_pumps_turn() {
    let _bounded = bounded();
    let (machine, nobody) = (attachable(), attachable());
    let online = Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = hooked(nobody, Arc::clone(&machine));
            let mut here = machine.attach_with(0, WakerCell::new()).unwrap();
            online.set();
            runtime.block_on(here.pump());
        });
        online.wait();
        // Sooner or later one finds the runtime asleep. The others are the pump's.
        while machine.call(0, || IN_HOOK.get()) != Ok(true) {}
        machine.shutdown().unwrap();
    });
}

#[test]
fn what_came_while_a_runtime_was_busy_runs_as_it_parks_and_what_that_wakes_keeps_it_awake() {
    let _bounded = bounded();
    let (machine, nobody) = (attachable(), attachable());
    let runtime = hooked(Arc::clone(&machine), nobody);
    // No pump, and no doorbell: nothing else runs what is posted, and nothing else wakes the task.
    let here = machine.attach(0).unwrap();
    let (woken, in_hook) = (Arc::new(tokio::sync::Notify::new()), Arc::new(Count::default()));
    let csd = Arc::new(Csd::new({
        let (woken, in_hook) = (Arc::clone(&woken), Arc::clone(&in_hook));
        move || {
            let _ = IN_HOOK.get().then(|| in_hook.up());
            woken.notify_one();
        }
    }));
    for round in 1..=100 {
        runtime.block_on(async {
            thread::scope(|scope| scope.spawn(|| machine.post(0, &csd)).join().unwrap().unwrap());
            woken.notified().await;
        });
        assert_eq!(in_hook.get(), round);
    }
    drop(here);
    assert_eq!(machine.flush_here(Budget::DEFAULT), Flushed::NotACpu);
}
