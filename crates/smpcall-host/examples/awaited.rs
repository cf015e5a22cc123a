//! What a call that is awaited costs beside a channel there and a channel back, from one tokio runtime to another, each kept on a core of its own.
//! Medians of rounds of all in turn; each is alone on its cores while it is measured.
//!
//! `cargo run --release -p smpcall-host --example awaited [ROUNDS [ONLY]]` (`ONLY`: the rows whose name has that in it). The rival
//! is tokio's own `mpsc` and `oneshot`, as its users write it. What this does not measure: many tasks at once, large values, contention.
//!
//! *Awake*: both runtimes have another task that never sleeps. *Asleep*: both park whenever there is nothing to do, which is twice a call.

use smpcall::{AsyncCall, Budget};
use smpcall_host::{
    Attached, Cores, Doorbell, Idle, Machine, WakerCell, pin_this_thread, process_cores, smpcall,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

/// Calls in a round that count, after so many that do not.
const CALLS: u32 = 2_000;
const FIRST: u32 = 200;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator, with a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Two words, on lines of their own.
#[repr(align(128))]
struct Word(AtomicU32);

static ASKED: Word = Word(AtomicU32::new(0));
static ANSWERED: Word = Word(AtomicU32::new(0));

/// Whether both runtimes have something else to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Spin,
    Sleep,
}

/// What answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A task that receives from a channel, and sends the answer back by another.
    Receiver,
    /// A CPU whose runtime's thread has it as a task: [`Attached::pump`].
    Pump,
    /// A CPU whose runtime looks at it in each of its turns.
    Polls,
    /// A CPU that is a thread of the machine's own, in no runtime.
    Owned,
    /// No call, no value: what turns, cores and wake-ups cost anyway. Awake, a task that looks at a word in each turn, and writes another; asleep,
    /// a thread without a runtime that parks, and unparks the other.
    Words,
}

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Channel,
    /// A word, by the same way.
    Words,
    /// `call_async_by`: a slot for all calls.
    Slot,
    /// `call_async`: a box for each.
    Boxed,
}

struct Row {
    name: &'static str,
    others: Others,
    target: Target,
    by: By,
}

const fn row(name: &'static str, others: Others, target: Target, by: By) -> Row {
    Row { name, others, target, by }
}

/// The first of each kind of sleep is what the others are measured by.
const ROWS: [Row; 12] = [
    row("awake: mpsc + oneshot", Others::Spin, Target::Receiver, By::Channel),
    row("awake: bare words, polled", Others::Spin, Target::Words, By::Words),
    row("awake: call_async_by, polled", Others::Spin, Target::Polls, By::Slot),
    row("awake: call_async, polled", Others::Spin, Target::Polls, By::Boxed),
    row("awake: call_async_by, a pump", Others::Spin, Target::Pump, By::Slot),
    row("awake: call_async, a pump", Others::Spin, Target::Pump, By::Boxed),
    row("asleep: mpsc + oneshot", Others::Sleep, Target::Receiver, By::Channel),
    row("asleep: bare words, std's park", Others::Sleep, Target::Words, By::Words),
    row("asleep: call_async_by, a pump", Others::Sleep, Target::Pump, By::Slot),
    row("asleep: call_async, a pump", Others::Sleep, Target::Pump, By::Boxed),
    row("asleep: call_async_by, a thread of the machine's", Others::Sleep, Target::Owned, By::Slot),
    row("asleep: call_async, a thread of the machine's", Others::Sleep, Target::Owned, By::Boxed),
];

/// What a call took.
struct Cost {
    ns: f64,
    allocations: f64,
}

type Ask = (u32, oneshot::Sender<u32>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(20, |text| text.parse().expect("a number of rounds"));
    let only = arguments.next().unwrap_or_default();
    let cores = process_cores();
    let (ours, theirs) = (cores[0], cores[1 % cores.len()]);
    println!("{rounds} rounds of {CALLS} calls each, on cores {ours} and {theirs}; medians");
    let mut costs: [Vec<Cost>; ROWS.len()] = Default::default();
    for _ in 0..rounds {
        for (row, costs) in ROWS.iter().zip(&mut costs).filter(|(row, _)| row.name.contains(&only)) {
            // Threads of their own, which are as fresh as the target's.
            costs.push(thread::scope(|scope| {
                let caller = || {
                    pin_this_thread(ours).expect("the process may use it");
                    row.measure(theirs)
                };
                scope.spawn(caller).join().expect("it is answered")
            }));
        }
    }
    let mut rival = None;
    for (row, costs) in ROWS.iter().zip(&mut costs).filter(|(_, costs)| !costs.is_empty()) {
        let median = |of: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = costs.iter().map(of).collect();
            all.sort_unstable_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let (ns, allocations) = (median(|cost| cost.ns), median(|cost| cost.allocations));
        if row.by == By::Channel {
            rival = Some(ns);
        }
        let ratio = rival.map_or_else(String::new, |rival| format!(", ratio {:.2}", ns / rival));
        println!("{:50} {ns:6.0} ns a call{ratio}, {allocations:.2} allocations", row.name);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime can be had")
}

impl Row {
    /// On the caller's thread.
    fn measure(&self, core: usize) -> Cost {
        if self.target == Target::Owned {
            let cores = Cores::These(vec![core]);
            let machine = Machine::builder().owned(1).cores(cores).idle(Idle::Sleep).build();
            return self.call(&machine.expect("a machine can be had"), None, None);
        }
        let machine = Machine::builder().attachable(1).build().expect("a machine can be had");
        let (to_target, asked) = mpsc::channel(64);
        let (online, is_online) = sync_channel(1);
        let caller = thread::current();
        thread::scope(|scope| {
            let target = scope.spawn(|| {
                pin_this_thread(core).expect("the process may use it");
                let online = move || online.send(()).expect("it is awaited");
                self.answer(&machine, &caller, asked, online);
            });
            is_online.recv().expect("it comes online");
            let cost = self.call(&machine, Some(target.thread()), Some(to_target));
            machine.shutdown().expect("outside of any call");
            target.thread().unpark();
            cost
        })
    }

    /// On the target's thread: until the machine's end, or that of the channel.
    fn answer(
        &self,
        machine: &Machine,
        caller: &Thread,
        mut asked: mpsc::Receiver<Ask>,
        online: impl FnOnce(),
    ) {
        let runtime = runtime();
        self.others.begin(&runtime);
        match self.target {
            Target::Receiver => {
                online();
                runtime.block_on(async {
                    while let Some((value, reply)) = asked.recv().await {
                        let _ = reply.send(value + 1);
                    }
                });
            }
            Target::Pump => {
                let mut here = machine.attach_with(0, WakerCell::new()).expect("the seat is free");
                online();
                runtime.block_on(here.pump());
            }
            Target::Polls => {
                let mut here = machine.attach(0).expect("the seat is free");
                here.poll_begin();
                online();
                runtime.block_on(poll(machine, &mut here));
            }
            Target::Words => {
                online();
                runtime.block_on(self.answer_words(machine, caller));
            }
            Target::Owned => unreachable!("it is the machine's"),
        }
    }

    async fn answer_words(&self, machine: &Machine, caller: &Thread) {
        let mut answered = 0;
        while !machine.is_shut_down() {
            let asked = ASKED.0.load(Ordering::Acquire);
            if asked != answered {
                answered = asked;
                ANSWERED.0.store(answered, Ordering::Release);
                self.wake(caller);
            }
            self.rest().await;
        }
    }

    /// Of those who pass words.
    fn wake(&self, other: &Thread) {
        if self.others == Others::Sleep {
            other.unpark();
        }
    }

    async fn rest(&self) {
        match self.others {
            Others::Spin => yield_now().await,
            Others::Sleep => thread::park(),
        }
    }

    /// On the caller's thread.
    fn call(&self, machine: &Machine, target: Option<&Thread>, to_target: Option<mpsc::Sender<Ask>>) -> Cost {
        let runtime = runtime();
        self.others.begin(&runtime);
        let mut slot = AsyncCall::new();
        runtime.block_on(async {
            let mut began = (Instant::now(), 0);
            for value in 0..FIRST + CALLS {
                if value == FIRST {
                    began = (Instant::now(), ALLOCATIONS.load(Ordering::Relaxed));
                }
                let answer = match (self.by, &to_target) {
                    (By::Slot, _) => machine.call_async_by(&mut slot, 0, move || value + 1).await.ok(),
                    (By::Boxed, _) => machine.call_async(0, move || value + 1).await.ok(),
                    (By::Words, _) => {
                        ASKED.0.store(value + 1, Ordering::Release);
                        self.wake(target.expect("it has a thread"));
                        while ANSWERED.0.load(Ordering::Acquire) != value + 1 {
                            self.rest().await;
                        }
                        Some(value + 1)
                    }
                    (By::Channel, to_target) => {
                        let to_target = to_target.as_ref().expect("there is a receiver");
                        let (reply, answer) = oneshot::channel();
                        to_target.send((value, reply)).await.expect("it receives");
                        answer.await.ok()
                    }
                };
                assert_eq!(answer, Some(value + 1));
            }
            let took: Duration = began.0.elapsed();
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - began.1;
            let per_call = |of: f64| of / f64::from(CALLS);
            Cost { ns: per_call(took.as_nanos() as f64), allocations: per_call(allocations as f64) }
        })
    }
}

/// Looks at the CPU once in each turn of its runtime, as long as the machine runs.
async fn poll<D: Doorbell>(machine: &Machine, here: &mut Attached<'_, (), D>) {
    while !machine.is_shut_down() {
        let _ = here.poll(Budget::DEFAULT);
        yield_now().await;
    }
}

impl Others {
    /// Gives the runtime what else it has to do: a task that never sleeps, until the runtime is dropped.
    fn begin(self, runtime: &Runtime) {
        if self == Self::Spin {
            runtime.spawn(async {
                loop {
                    yield_now().await;
                }
            });
        }
    }
}
