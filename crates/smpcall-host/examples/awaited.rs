//! What a call that is awaited costs beside a channel there and a channel back: from one tokio runtime to another, both awake (each
//! has a task that never sleeps), and to a thread that sleeps, from a runtime that does. Medians of rounds of both in turn.
//!
//! `cargo run --release -p smpcall-host --example awaited [ROUNDS]`. The rival is tokio's own `mpsc` and `oneshot`, as its users
//! write it. What this does not measure: many tasks at once, large values, contention. The threads need a core each.

use smpcall::{AsyncCall, Budget, Flushed};
use smpcall_host::{Idle, Machine, smpcall};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

/// Calls in a round.
const CALLS: u32 = 200;

/// How often the target's pump looks in one turn.
const LOOKS: u32 = 4;

type Ask = (u32, oneshot::Sender<u32>);

fn main() {
    let rounds = std::env::args().nth(1).map_or(50, |text| text.parse().expect("a number of rounds"));
    println!("{rounds} rounds of {CALLS} calls each; medians in ns a call");
    awake(rounds);
    asleep(rounds);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime can be had")
}

/// Both runtimes poll: the target's pump flushes, and its task receives; the caller's other task spins as well.
fn awake(rounds: usize) {
    let machine = Machine::builder().attachable(1).build().expect("a machine can be had");
    let (stop, pumps, online) = (AtomicBool::new(false), AtomicBool::new(false), Barrier::new(2));
    let (to_target, mut asked) = mpsc::channel::<Ask>(64);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut here = machine.attach(0).expect("the seat is free");
            online.wait();
            here.poll_begin();
            let serve = async {
                while let Some((value, reply)) = asked.recv().await {
                    let _ = reply.send(value + 1);
                }
            };
            let pump = async {
                while !stop.load(Ordering::Acquire) {
                    // A few looks cost less than one turn of the runtime. While the channel is measured it only spins, as the
                    // caller's does.
                    if pumps.load(Ordering::Relaxed) {
                        let _ = (0..LOOKS).any(|_| here.poll(Budget::DEFAULT) != Flushed::All(0));
                    }
                    yield_now().await;
                }
            };
            runtime().block_on(async { tokio::join!(serve, pump) });
        });
        online.wait();
        runtime().block_on(async {
            let spin = async {
                while !stop.load(Ordering::Acquire) {
                    yield_now().await;
                }
            };
            let measure = async {
                compare("both awake", rounds, &machine, to_target, &pumps).await;
                stop.store(true, Ordering::Release);
            };
            tokio::join!(measure, spin)
        });
    });
}

/// The caller's runtime parks; so does the target, a thread of the machine's own, or one that receives.
fn asleep(rounds: usize) {
    let machine = Machine::builder().owned(1).idle(Idle::Sleep).build().expect("a machine can be had");
    let (to_target, mut asked) = mpsc::channel::<Ask>(64);
    thread::scope(|scope| {
        scope.spawn(move || {
            runtime().block_on(async move {
                while let Some((value, reply)) = asked.recv().await {
                    let _ = reply.send(value + 1);
                }
            });
        });
        let nobody_pumps = AtomicBool::new(false);
        let what = "both asleep, the target a thread of the machine's";
        runtime().block_on(compare(what, rounds, &machine, to_target, &nobody_pumps));
    });
}

async fn compare(
    what: &str,
    rounds: usize,
    machine: &Machine,
    to_target: mpsc::Sender<Ask>,
    pumps: &AtomicBool,
) {
    let (mut by, mut slots, mut boxes, mut channels) = (AsyncCall::new(), vec![], vec![], vec![]);
    for _ in 0..rounds {
        pumps.store(true, Ordering::Relaxed);
        let start = Instant::now();
        for value in 0..CALLS {
            let answer = machine.call_async_by(&mut by, 0, move || value + 1).await;
            assert_eq!(answer.ok(), Some(value + 1));
        }
        slots.push(start.elapsed());
        let start = Instant::now();
        for value in 0..CALLS {
            assert_eq!(machine.call_async(0, move || value + 1).await.ok(), Some(value + 1));
        }
        boxes.push(start.elapsed());
        pumps.store(false, Ordering::Relaxed);
        let start = Instant::now();
        for value in 0..CALLS {
            let (reply, answer) = oneshot::channel();
            to_target.send((value, reply)).await.expect("it receives");
            assert_eq!(answer.await, Ok(value + 1));
        }
        channels.push(start.elapsed());
    }
    let [slot, boxed, channel] = [slots, boxes, channels].map(|mut took| {
        took.sort_unstable();
        took[took.len() / 2].as_nanos() as f64 / f64::from(CALLS)
    });
    println!("{what}: call_async_by {slot:.0}, call_async {boxed:.0}, mpsc + oneshot {channel:.0}");
    println!("  ratios to mpsc + oneshot: {:.2}, {:.2}", slot / channel, boxed / channel);
}
