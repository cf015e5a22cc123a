//! Channels: a boxed closure there, and where somebody waits its result back by a second channel, which is kept.
//!
//! A channel that is made anew for each answer, as many users do, costs more; one row shows how much. Both sides look again and
//! again, with the standard library's hint between ([`Polling`]), or sleep in the crate's own blocking receive ([`Blocking`]).

mod kinds;

pub(crate) use kinds::{Crossbeam, Flume, Kanal, Rtrb, Std};

use crate::block::{Block, Shape, Visit};
use crate::work::{CALLS, FLOOD, KEY, RUNS, count};
use anyhow::{Context, Result};
use smpcall_measure::pace::pin;
use std::hint::{black_box, spin_loop};
use std::thread;

/// A closure whose result is sent back.
pub(crate) type Call = Box<dyn FnOnce() -> u32 + Send>;
/// A closure that nobody waits for.
pub(crate) type Run = Box<dyn FnOnce() + Send>;

/// What a receiver sees when it looks.
pub(crate) enum Look<T> {
    Value(T),
    Nothing,
    Closed,
}

/// A channel of one crate.
pub(crate) trait Channel: 'static {
    type Tx<T: Send + 'static>: Send;
    type Rx<T: Send + 'static>: Send;

    fn open<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>);
    fn send<T: Send + 'static>(tx: &mut Self::Tx<T>, value: T);
    fn look<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Look<T>;
}

/// One that has a receive that sleeps.
pub(crate) trait Sleeps: Channel {
    /// `None` once it is closed.
    fn sleep<T: Send + 'static>(rx: &mut Self::Rx<T>) -> Option<T>;
}

/// How a side waits for a value.
pub(crate) trait Wait<C: Channel> {
    /// `None` once the channel is closed.
    fn next<T: Send + 'static>(rx: &mut C::Rx<T>) -> Option<T>;
}

/// It looks again and again.
pub(crate) struct Polling;
/// It sleeps as the crate has it.
pub(crate) struct Blocking;

impl<C: Channel> Wait<C> for Polling {
    #[inline]
    fn next<T: Send + 'static>(rx: &mut C::Rx<T>) -> Option<T> {
        loop {
            match C::look(rx) {
                Look::Value(value) => return Some(value),
                Look::Nothing => spin_loop(),
                Look::Closed => return None,
            }
        }
    }
}

impl<C: Sleeps> Wait<C> for Blocking {
    #[inline]
    fn next<T: Send + 'static>(rx: &mut C::Rx<T>) -> Option<T> {
        C::sleep(rx)
    }
}

/// Runs `measure` on the caller's core, beside a thread on the target's that does `each` with what it is sent.
fn beside<C: Channel, W: Wait<C>, T: Send + 'static>(
    visit: &Visit,
    mut each: impl FnMut(T) + Send,
    measure: impl FnOnce(C::Tx<T>) -> Result<Block>,
) -> Result<Block> {
    let (tx, mut rx) = C::open::<T>();
    let target = visit.place.target();
    pin(visit.place.caller())?;
    thread::scope(|scope| {
        let work = move || -> Result<()> {
            pin(target)?;
            while let Some(job) = W::next(&mut rx) {
                each(job);
            }
            Ok(())
        };
        let worker = thread::Builder::new().spawn_scoped(scope, work).context("cannot start a thread")?;
        // It takes the sender along, and so ends the worker.
        let block = measure(tx);
        worker.join().expect("the worker does not panic")?;
        block
    })
}

/// Boxed closures whose results come back by a channel that is kept.
fn calls<C: Channel, W: Wait<C>>(visit: &Visit, shape: Shape) -> Result<Block> {
    let (mut answer, mut answers) = C::open::<u32>();
    beside::<C, W, Call>(
        visit,
        move |job| C::send(&mut answer, job()),
        |mut tx| {
            visit.measure(shape, |n| {
                let mut right = 0;
                for number in 0..n {
                    C::send(&mut tx, Box::new(move || black_box(number) ^ KEY));
                    right += u32::from(W::next(&mut answers) == Some(number ^ KEY));
                }
                right
            })
        },
    )
}

pub(crate) fn waiting<C: Channel>(visit: &Visit) -> Result<Block> {
    calls::<C, Polling>(visit, Shape::Batch(CALLS))
}

pub(crate) fn parked<C: Sleeps>(visit: &Visit, rest: Shape) -> Result<Block> {
    calls::<C, Blocking>(visit, rest)
}

/// The same with a channel for each answer, which the closure takes along.
pub(crate) fn waiting_anew<C: Channel>(visit: &Visit) -> Result<Block> {
    beside::<C, Polling, Run>(
        visit,
        |job| job(),
        |mut tx| {
            visit.measure(Shape::Batch(CALLS), |n| {
                let mut right = 0;
                for number in 0..n {
                    let (mut answer, mut answers) = C::open::<u32>();
                    C::send(&mut tx, Box::new(move || C::send(&mut answer, black_box(number) ^ KEY)));
                    let answer = <Polling as Wait<C>>::next(&mut answers);
                    right += u32::from(answer == Some(number ^ KEY));
                }
                right
            })
        },
    )
}

/// A closure that takes nothing along, and whose box therefore needs no memory.
pub(crate) fn post<C: Channel>(visit: &Visit) -> Result<Block> {
    beside::<C, Polling, Run>(
        visit,
        |job| job(),
        |mut tx| {
            let mut post = || {
                C::send(&mut tx, Box::new(count));
                true
            };
            visit.measure(Shape::Batch(CALLS), |n| RUNS.each_seen(n, visit.place.pace(), &mut post))
        },
    )
}

/// A closure that takes a number along.
pub(crate) fn detached<C: Channel>(visit: &Visit) -> Result<Block> {
    beside::<C, Polling, Run>(
        visit,
        |job| job(),
        |mut tx| {
            let mut number = 0_u32;
            let mut post = || {
                let by = number;
                number += 1;
                C::send(&mut tx, Box::new(move || RUNS.add_if(black_box(by) == by)));
                true
            };
            visit.measure(Shape::Batch(CALLS), |n| RUNS.each_seen(n, visit.place.pace(), &mut post))
        },
    )
}

pub(crate) fn flood<C: Channel>(visit: &Visit) -> Result<Block> {
    beside::<C, Polling, Run>(
        visit,
        |job| job(),
        |mut tx| {
            visit.measure(Shape::Flood(FLOOD), |_| {
                RUNS.flood(visit.place.pace(), || {
                    (0..FLOOD).for_each(|by| C::send(&mut tx, Box::new(move || RUNS.flooded_by(by))));
                    true
                })
            })
        },
    )
}

/// The target's part is sent to it, the caller runs its own meanwhile, and then waits.
pub(crate) fn both<C: Channel>(visit: &Visit) -> Result<Block> {
    let (mut answer, mut answers) = C::open::<()>();
    beside::<C, Polling, Run>(
        visit,
        move |job| {
            job();
            C::send(&mut answer, ());
        },
        |mut tx| {
            visit.measure(Shape::Batch(CALLS), |n| {
                let before = RUNS.seen();
                for _ in 0..n {
                    C::send(&mut tx, Box::new(|| RUNS.add_shared()));
                    RUNS.add_shared();
                    if <Polling as Wait<C>>::next(&mut answers).is_none() {
                        return 0;
                    }
                }
                if RUNS.seen() == before + u64::from(2 * n) { n } else { 0 }
            })
        },
    )
}
