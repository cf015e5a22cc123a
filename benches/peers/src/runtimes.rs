//! Runtimes, each as its documentation shows it, the target's thread on the target's core, and asleep when a call comes.

use crate::block::{Block, Shape, Visit};
use crate::work::{KEY, RUNS};
use anyhow::{Context, Result, anyhow};
use compio::dispatcher::Dispatcher;
use futures_lite::future::block_on;
use nix::sys::eventfd::{EfdFlags, EventFd};
use smpcall_measure::pace::{Place, pin};
use std::collections::HashSet;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio_util::task::LocalPoolHandle;

/// Calls one after the other, each after a rest.
fn each(visit: &Visit, mut call: impl FnMut(u32) -> Option<u32>) -> Result<Block> {
    let right = |answer: Option<u32>, number: u32| u32::from(answer == Some(number ^ KEY));
    visit.measure(Shape::AfterRest, |n| (0..n).map(|number| right(call(number), number)).sum())
}

fn single() -> Result<Runtime> {
    Builder::new_current_thread().build().context("cannot make a runtime")
}

/// Starts `new` on a core, which the threads that it starts inherit, and comes back to the caller's.
fn started_on<T>(place: &Place, core: Option<usize>, new: impl FnOnce() -> T) -> Result<T> {
    pin(core)?;
    let new = new();
    pin(place.caller())?;
    Ok(new)
}

/// The task, and its result by the handle, from a runtime of the caller's.
fn spawn_pinned_on(visit: &Visit, core: Option<usize>) -> Result<Block> {
    let pool = started_on(&visit.place, core, || LocalPoolHandle::new(1))?;
    let runtime = single()?;
    each(visit, |number| {
        runtime.block_on(pool.spawn_pinned(move || async move { black_box(number) ^ KEY })).ok()
    })
}

pub(crate) fn spawn_pinned(visit: &Visit) -> Result<Block> {
    spawn_pinned_on(visit, visit.place.target())
}

/// On the caller's core, where a pool that a pinned thread starts finds itself: no wake-up goes across.
pub(crate) fn spawn_pinned_here(visit: &Visit) -> Result<Block> {
    spawn_pinned_on(visit, visit.place.caller())
}

/// A number, and where its answer goes.
type Asked = (u32, oneshot::Sender<u32>);

/// The documentation's `LocalSpawner`: a channel to a thread whose local set spawns a task for each.
pub(crate) fn local_set(visit: &Visit) -> Result<Block> {
    let (tx, mut rx) = mpsc::unbounded_channel::<Asked>();
    let core = visit.place.target();
    let serve = move || -> Result<()> {
        pin(core)?;
        let local = LocalSet::new();
        local.spawn_local(async move {
            while let Some((number, answer)) = rx.recv().await {
                spawn_local(async move { answer.send(black_box(number) ^ KEY) });
            }
        });
        single()?.block_on(local);
        Ok(())
    };
    pin(visit.place.caller())?;
    let worker = thread::Builder::new().spawn(serve).context("cannot start a thread")?;
    let block = each(visit, |number| {
        let (answer, answered) = oneshot::channel();
        tx.send((number, answer)).ok()?;
        answered.blocking_recv().ok()
    });
    drop(tx);
    worker.join().expect("the worker does not panic")?;
    block
}

/// compio's dispatcher of one thread.
pub(crate) fn compio(visit: &Visit) -> Result<Block> {
    let cores: HashSet<usize> = visit.place.target().into_iter().collect();
    let one = NonZeroUsize::MIN;
    pin(visit.place.caller())?;
    let dispatcher =
        Dispatcher::builder().worker_threads(one).thread_affinity(move |_| cores.clone()).build()?;
    let block = each(visit, |number| {
        let answer = dispatcher.dispatch(move || async move { black_box(number) ^ KEY }).ok()?;
        block_on(answer).ok()
    });
    compio::runtime::Runtime::new()?.block_on(dispatcher.join())?;
    block
}

/// smol's executor, run by one thread; the caller spawns there and blocks on the task.
pub(crate) fn async_executor(visit: &Visit) -> Result<Block> {
    let executor = Arc::new(async_executor::Executor::new());
    let (stop, stopped) = oneshot::channel::<()>();
    let core = visit.place.target();
    let serve = {
        let executor = Arc::clone(&executor);
        move || -> Result<()> {
            pin(core)?;
            block_on(executor.run(stopped)).map_err(|_| anyhow!("the caller is gone"))
        }
    };
    pin(visit.place.caller())?;
    let worker = thread::Builder::new().spawn(serve).context("cannot start a thread")?;
    let block = each(visit, |number| Some(block_on(executor.spawn(async move { black_box(number) ^ KEY }))));
    // Gone: its worker is at an error, which is told below.
    let _ = stop.send(());
    worker.join().expect("the worker does not panic")?;
    block
}

/// Two eventfds, a blocking read on each side, and no function at all.
pub(crate) fn eventfd(visit: &Visit) -> Result<Block> {
    const STOP: u64 = 1 << 32;
    let new = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC);
    let (ask, answer) = (Arc::new(new()?), Arc::new(new()?));
    let core = visit.place.target();
    let serve = {
        let (ask, answer) = (Arc::clone(&ask), Arc::clone(&answer));
        move || -> Result<()> {
            pin(core)?;
            while ask.read()? < STOP {
                answer.write(1)?;
            }
            Ok(())
        }
    };
    pin(visit.place.caller())?;
    let worker = thread::Builder::new().spawn(serve).context("cannot start a thread")?;
    let block = each(visit, |number| {
        ask.write(1).ok()?;
        (answer.read().ok()? == 1).then_some(number ^ KEY)
    });
    ask.write(STOP)?;
    worker.join().expect("the worker does not panic")?;
    block
}

/// rayon's `broadcast` in a pool of both cores, by one of its threads.
pub(crate) fn rayon(visit: &Visit) -> Result<Block> {
    let cores = [visit.place.caller(), visit.place.target()];
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .start_handler(move |index| {
            // Not pinned: slower, and no less right.
            let _ = pin(cores[index]);
        })
        .build()?;
    pool.install(|| {
        visit.measure(Shape::Batch(crate::work::CALLS), |n| {
            let before = RUNS.seen();
            for _ in 0..n {
                rayon::broadcast(|_| RUNS.add_shared());
            }
            if RUNS.seen() == before + u64::from(2 * n) { n } else { 0 }
        })
    })
}
