//! The contract on host threads that sleep in their own loops: once for each doorbell. (The futex is `host.rs`.)

#[path = "common/signal.rs"]
#[allow(dead_code, reason = "signals as doorbells are another test's")]
mod signal;

use nix::poll::{PollFd, PollFlags, ppoll};
use smpcall_conformance::{Lines, Rig, Suite, Summary, Woken, check_log, memory_bytes};
use smpcall_host::smpcall::{PerCpu, RingError};
use smpcall_host::{Attached, Doorbell, EventFd, Futex, Host, Machine, WakerCell};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// A way for a CPU's thread to sleep, and what ends it.
trait Sleeps: Sync + Sized + 'static {
    type Doorbell: Doorbell;

    /// Makes the calling thread a CPU.
    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), Self::Doorbell>;

    /// The calling thread is about to sleep, and has nothing to do: gets ready.
    fn prepare(_doorbell: &Self::Doorbell) {}

    /// Sleeps until rung, or for that long.
    fn sleep(doorbell: &Self::Doorbell, limit: Duration);

    /// A turn of the loop, but for the flush, which is the suite's part.
    fn rest(here: &mut Attached<'static, (), Self::Doorbell>, limit: Duration) {
        Self::prepare(here.doorbell());
        if let Ok(guard) = here.begin_sleep() {
            Self::sleep(guard.doorbell(), limit);
            guard.abort();
        } else {
            // There is work; or this is inside of a function that may block.
            thread::yield_now();
        }
    }
}

/// In `ppoll`, as any loop of file descriptors.
struct ByEventFd;

impl Sleeps for ByEventFd {
    type Doorbell = EventFd;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), EventFd> {
        machine.attach_with(cpu, EventFd::new().unwrap()).unwrap()
    }

    fn sleep(doorbell: &EventFd, limit: Duration) {
        use std::os::fd::AsFd;
        // A signal ends it as well.
        let _ = ppoll(&mut [PollFd::new(doorbell.as_fd(), PollFlags::POLLIN)], Some(limit.into()), None);
    }
}

/// As the smallest executor does.
struct ByWaker;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

impl Sleeps for ByWaker {
    type Doorbell = WakerCell;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), WakerCell> {
        // Others may post before it first sleeps.
        let cell = WakerCell::new();
        Self::prepare(&cell);
        machine.attach_with(cpu, cell).unwrap()
    }

    fn prepare(doorbell: &WakerCell) {
        WAKER.with(|waker| doorbell.register(waker));
    }

    fn sleep(_: &WakerCell, limit: Duration) {
        thread::park_timeout(limit);
    }
}

/// By a doorbell of the program's own.
struct ByOwn;

impl Doorbell for Unpark {
    fn ring(&self) -> Result<(), RingError> {
        self.0.unpark();
        Ok(())
    }
}

impl Sleeps for ByOwn {
    type Doorbell = Unpark;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), Unpark> {
        machine.attach_with(cpu, Unpark(thread::current())).unwrap()
    }

    fn sleep(_: &Unpark, limit: Duration) {
        thread::park_timeout(limit);
    }
}

/// Not at all: it looks again and again, and nobody wakes it.
struct Polls;

impl Sleeps for Polls {
    type Doorbell = Futex;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), Futex> {
        machine.attach(cpu).unwrap()
    }

    fn sleep(_: &Futex, _: Duration) {}

    fn rest(_: &mut Attached<'static, (), Futex>, _: Duration) {
        thread::yield_now();
    }
}

struct LoopRig<S> {
    machine: &'static Machine,
    rounds: u32,
    sleeps: PhantomData<S>,
}

/// The calling thread's CPU. `dyn`, since a thread-local is of one type.
trait Here {
    fn sleep(&mut self, limit: Duration);
}

struct HereBy<S: Sleeps>(Attached<'static, (), S::Doorbell>);

impl<S: Sleeps> Here for HereBy<S> {
    fn sleep(&mut self, limit: Duration) {
        S::rest(&mut self.0, limit);
    }
}

thread_local! {
    static HERE: RefCell<Option<Box<dyn Here>>> = const { RefCell::new(None) };
}

impl<S: Sleeps> Rig for LoopRig<S> {
    type Platform = Host;
    type Storage = Box<[PerCpu]>;

    fn smp(&self) -> &'static smpcall_host::smpcall::Machine<Host, Box<[PerCpu]>> {
        self.machine.whole()
    }

    fn memory(&self) -> &'static mut [MaybeUninit<u8>] {
        vec![MaybeUninit::uninit(); memory_bytes(self.machine.cpus_len())].leak()
    }

    fn rounds(&self) -> u32 {
        self.rounds
    }

    // As in `host.rs`.
    fn patience_ns(&self) -> u64 {
        30_000_000_000
    }

    fn pause(&self) {
        thread::yield_now();
    }

    fn sleep(&self, limit_ns: u64) -> Woken {
        let limit = Duration::from_nanos(limit_ns);
        HERE.with_borrow_mut(|here| here.as_mut().expect("the suite runs on CPUs").sleep(limit));
        Woken::Unknown
    }

    fn rings(&self) -> Option<u64> {
        Some(self.machine.counts().rings)
    }

    fn caught(&self) -> Option<u64> {
        Some(self.machine.counts().panics)
    }

    fn unwind(&self) -> Option<fn() -> !> {
        Some(|| std::panic::resume_unwind(Box::new("meant")))
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        signal::raise(f);
        true
    }

    fn outside(&self, f: &'static (dyn Fn() + Sync)) -> bool {
        thread::spawn(f);
        true
    }
}

fn run<S: Sleeps>(cpus: u32, rounds: u32) -> Summary {
    let builder = Machine::builder().attachable(cpus as usize);
    // Leaked, as the suite asks for; and what the watchdog finds is meant.
    let machine: &'static Machine = Box::leak(Box::new(builder.on_queue_stall(|_| ()).build().unwrap()));
    let rig = LoopRig::<S> { machine, rounds, sleeps: PhantomData };
    let suite: &'static Suite<LoopRig<S>> = Box::leak(Box::new(Suite::new(rig)));
    let run = |cpu| {
        thread::spawn(move || {
            HERE.set(Some(Box::new(HereBy::<S>(S::attach(machine, cpu)))));
            let mut log = Lines(String::new());
            let summary = suite.run(&mut log);
            // It goes offline here, and not among the thread's other destructors.
            HERE.take();
            (summary, log.0)
        })
    };
    let threads: Vec<_> = (0..cpus).map(run).collect();
    let ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let log = &ends[0].1;
    let summary = check_log(log).unwrap_or_else(|fault| panic!("{fault}\n{log}"));
    assert!(ends.iter().all(|(end, _)| *end == Ok(summary)), "every CPU comes to the same end");
    assert_eq!(machine.failed_rings_racy(), 0, "each sleep could be ended");
    summary
}

/// What these rigs have not: interrupts that can be masked (two cases), threads that migrate (two), and counters (two).
const NOT_HERE: u32 = 6;

#[test]
fn an_eventfd() {
    assert_eq!(run::<ByEventFd>(2, 300).skipped, NOT_HERE);
    assert_eq!(run::<ByEventFd>(4, 100).skipped, NOT_HERE);
}

#[test]
fn a_waker() {
    assert_eq!(run::<ByWaker>(2, 300).skipped, NOT_HERE);
    assert_eq!(run::<ByWaker>(4, 100).skipped, NOT_HERE);
}

#[test]
fn a_doorbell_of_ones_own() {
    assert_eq!(run::<ByOwn>(3, 100).skipped, NOT_HERE);
}

#[test]
fn none_at_all() {
    assert_eq!(run::<Polls>(2, 100).skipped, NOT_HERE);
}
