//! The contract on host threads that sleep in their own loops: once for each doorbell. (The futex is `host.rs`.)

#[path = "common/threads.rs"]
mod threads;

use io_uring::{IoUring, types};
use nix::poll::{PollFd, PollFlags, ppoll};
use smpcall_conformance::Summary;
use smpcall_host::smpcall::RingError;
use smpcall_host::{Attached, Doorbell, EventFd, Futex, Machine, MsgRing, Signal, WakerCell};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use threads::{HostRig, machine, run_suite, signal, tlb};

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

/// In an io_uring, submitting and waiting.
struct ByMsgRing;

thread_local! {
    /// The loop's.
    static RING: RefCell<IoUring> = RefCell::new(IoUring::new(8).unwrap());
}

fn fd(ring: &IoUring) -> BorrowedFd<'_> {
    // SAFETY: the ring owns it, and is borrowed for as long.
    unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }
}

impl Sleeps for ByMsgRing {
    type Doorbell = MsgRing;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), MsgRing> {
        RING.with_borrow(|ring| {
            // In turn by the one way and by the other.
            let doorbell =
                if cpu % 2 == 0 { MsgRing::new(fd(ring), 0) } else { MsgRing::by_own_ring(fd(ring), 0) };
            machine.attach_with(cpu, doorbell.unwrap()).unwrap()
        })
    }

    fn sleep(_: &MsgRing, limit: Duration) {
        RING.with_borrow_mut(|ring| {
            let limit = types::Timespec::from(limit);
            // A signal ends it as well.
            let _ = ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&limit));
            ring.completion().for_each(drop);
        });
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

/// In `nanosleep`, out of which a signal comes; and not at all, in between.
struct BySignal;

impl Sleeps for BySignal {
    type Doorbell = Signal;

    fn attach(machine: &'static Machine, cpu: u32) -> Attached<'static, (), Signal> {
        // SAFETY: the suite's functions neither allocate, nor free, nor lock, but for those that panic, which are left out.
        unsafe { machine.attach_interrupted(cpu, Signal::real_time(2).unwrap()) }.unwrap()
    }

    fn sleep(_: &Signal, limit: Duration) {
        signal::nap(limit);
    }

    fn rest(here: &mut Attached<'static, (), Signal>, limit: Duration) {
        Self::sleep(here.doorbell(), limit);
    }
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

fn run<S: Sleeps>(cpus: u32, rounds: u32) -> Summary {
    run_as::<S, false>(cpus, rounds)
}

fn run_as<S: Sleeps, const HANDLER: bool>(cpus: u32, rounds: u32) -> Summary {
    let machine = machine(cpus, ());
    let sleep = |_: &'static Machine, limit| {
        HERE.with_borrow_mut(|here| here.as_mut().expect("the suite runs on CPUs").sleep(limit));
    };
    let rig = HostRig::<_, HANDLER> { machine, rounds, counted: |()| None, sleep, tlb: tlb() };
    let summary = run_suite(rig, |machine, cpu, run| {
        HERE.set(Some(Box::new(HereBy::<S>(S::attach(machine, cpu)))));
        run();
        // It goes offline here, and not among the thread's other destructors.
        HERE.take();
    });
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
fn messages_to_an_io_uring() {
    if let Err(error) = IoUring::new(8).and_then(|ring| MsgRing::by_own_ring(fd(&ring), 0)) {
        return eprintln!("SKIPPED: {error}");
    }
    assert_eq!(run::<ByMsgRing>(2, 300).skipped, NOT_HERE);
    assert_eq!(run::<ByMsgRing>(4, 100).skipped, NOT_HERE);
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

/// And of signals: functions that panic (nine), and a budget that is the handler's own.
const NOT_IN_A_HANDLER: u32 = NOT_HERE + 10;

#[test]
fn a_signal() {
    assert_eq!(run_as::<BySignal, true>(2, 300).skipped, NOT_IN_A_HANDLER);
    assert_eq!(run_as::<BySignal, true>(4, 100).skipped, NOT_IN_A_HANDLER);
}

#[test]
fn none_at_all() {
    assert_eq!(run::<Polls>(2, 100).skipped, NOT_HERE);
}
