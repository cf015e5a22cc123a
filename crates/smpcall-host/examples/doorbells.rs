//! Measures the doorbells, as ratios within one run: a wake-up of a thread that sleeps, and posts under load.
//!
//! `cargo run --release -p smpcall-host --example doorbells -- 4000` (how many hops a block; few, unless told)
//!
//! *Idle*: two threads post to each other in turn, and sleep in between if nothing has come by then. *Bare* is the same with an eventfd and epoll alone: a write, a
//! wait, a read. *Under load*: two threads post as fast as they can; bare, they write an eventfd for each, as without suppression.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd;
use smpcall_host::smpcall::{Budget, Csd, Posted};
use smpcall_host::{Attached, Doorbell, EventFd, Machine, MsgRing, Signal, WakerCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bare,
    EventFd,
    /// By register.
    MsgRing,
    /// By the doorbell's own ring.
    OwnRing,
    Futex,
    Waker,
    Tokio,
    Polls,
    /// To a thread that computes.
    Signal,
}

const KINDS: [Kind; 9] = [
    Kind::Bare,
    Kind::EventFd,
    Kind::MsgRing,
    Kind::OwnRing,
    Kind::Futex,
    Kind::Waker,
    Kind::Tokio,
    Kind::Polls,
    Kind::Signal,
];
const BLOCKS: usize = 9;

fn epoll(fd: impl AsFd) -> Epoll {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("few files are open");
    epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)).expect("it can be watched");
    epoll
}

fn wait(epoll: &Epoll) {
    let _ = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Serves a CPU until the machine is shut down; returns how often it slept, and read a descriptor.
fn serve(machine: &'static Machine, cpu: u32, kind: Kind) -> u64 {
    let mut sleeps = 0;
    match kind {
        Kind::Bare => unreachable!("there is no machine"),
        Kind::EventFd => {
            let mut here =
                machine.attach_with(cpu, EventFd::new().expect("few files are open")).expect("free");
            let epoll = epoll(&here);
            sleeps = serve_asleep(machine, &mut here, || wait(&epoll));
        }
        Kind::MsgRing | Kind::OwnRing => sleeps = serve_in_ring(machine, cpu, kind),
        Kind::Futex => {
            let mut here = machine.attach(cpu).expect("free");
            while !machine.is_shut_down() {
                here.park(None);
                sleeps += 1;
            }
        }
        Kind::Waker => {
            let mut here = machine.attach_with(cpu, WakerCell::new()).expect("free");
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut pump = std::pin::pin!(here.pump());
            while pump.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
                thread::park();
                sleeps += 1;
            }
        }
        Kind::Tokio => {
            let mut here = machine.attach_with(cpu, WakerCell::new()).expect("free");
            let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            tokio::task::LocalSet::new().block_on(&tokio, here.pump());
        }
        Kind::Polls => {
            let mut here = machine.attach(cpu).expect("free");
            here.poll_begin();
            while !machine.is_shut_down() {
                let _ = here.poll(Budget::DEFAULT);
                thread::yield_now();
            }
        }
        Kind::Signal => serve_by_signal(machine, cpu),
    }
    sleeps
}

/// The loop of a thread that says when it sleeps, in whatever `sleep` is; returns how often it did.
fn serve_asleep<D: Doorbell>(
    machine: &Machine,
    here: &mut Attached<'_, (), D>,
    mut sleep: impl FnMut(),
) -> u64 {
    let mut sleeps = 0;
    while !machine.is_shut_down() {
        if let Ok(guard) = here.begin_sleep() {
            let asleep = guard.commit();
            sleep();
            sleeps += 1;
            let _ = asleep.woken(Budget::DEFAULT);
        } else {
            let _ = here.poll(Budget::DEFAULT);
        }
    }
    sleeps
}

/// The same, in an io_uring.
fn serve_in_ring(machine: &'static Machine, cpu: u32, kind: Kind) -> u64 {
    let mut ring = io_uring::IoUring::new(8).expect("asked before");
    // SAFETY: the ring is there until the doorbell has its own descriptor.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let doorbell = if kind == Kind::MsgRing { MsgRing::new(fd, 1) } else { MsgRing::by_own_ring(fd, 1) };
    let mut here = machine.attach_with(cpu, doorbell.expect("asked before")).expect("free");
    serve_asleep(machine, &mut here, || {
        let _ = ring.submit_and_wait(1);
        ring.completion().for_each(drop);
    })
}

/// The same, while the thread computes, on a core of its own if there is one.
fn serve_by_signal(machine: &'static Machine, cpu: u32) {
    let cores = smpcall_host::allowed_cores();
    if let Some(core) = cores.get(cpu as usize) {
        smpcall_host::pin_this_thread(*core).expect("it is allowed");
    }
    let number = Signal::real_time(0).expect("there is one");
    // SAFETY: what is posted here counts, posts, and unparks; and is not freed.
    let _here = unsafe { machine.attach_interrupted(cpu, number) }.expect("free");
    while !machine.is_shut_down() {
        std::hint::spin_loop();
    }
}

/// Runs `f` beside the threads of a machine's CPUs; returns what it returns, how often they slept, and the wake-ups sent.
fn with_machine<R>(cpus: u32, kind: Kind, f: impl FnOnce(&'static Machine) -> R) -> (R, u64, u64) {
    // Leaked: csds that are posted hold on to it.
    let machine: &'static Machine =
        Box::leak(Box::new(Machine::builder().attachable(cpus as usize).build().expect("a machine")));
    let threads: Vec<_> = (0..cpus).map(|cpu| thread::spawn(move || serve(machine, cpu, kind))).collect();
    while !(0..cpus).all(|cpu| machine.is_online_racy(cpu)) {
        thread::yield_now();
    }
    let before = machine.counts().wakes;
    let result = f(machine);
    let wakes = machine.counts().wakes - before;
    machine.shutdown().expect("outside of any call");
    let sleeps = threads.into_iter().map(|thread| thread.join().expect("it serves")).sum();
    (result, sleeps, wakes)
}

type Boxed = Csd<Box<dyn Fn() + Send + Sync>>;

/// Two CPUs' csds post each other.
fn hops(machine: &'static Machine, hops: u32) -> Duration {
    let left: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(hops)));
    let csds: &'static [OnceLock<Boxed>; 2] = Box::leak(Box::default());
    let main = thread::current();
    for (me, csd) in csds.iter().enumerate() {
        let (other, main) = (1 - me, main.clone());
        let hop = move || {
            if left.fetch_sub(1, SeqCst) == 1 {
                main.unpark();
            } else {
                machine.post(other as u32, csds[other].get().expect("both are there")).expect("it is online");
            }
        };
        let _ = csd.set(Csd::new(Box::new(hop)));
    }
    let began = Instant::now();
    machine.post(0, csds[0].get().expect("it was set")).expect("it is online");
    while left.load(SeqCst) != 0 {
        thread::park();
    }
    began.elapsed()
}

fn bare_hops(hops: u32) -> Duration {
    let fds: [_; 2] = std::array::from_fn(|_| {
        eventfd::EventFd::from_flags(eventfd::EfdFlags::EFD_NONBLOCK).expect("few files")
    });
    let left = AtomicU32::new(hops);
    let began = Instant::now();
    thread::scope(|scope| {
        for me in 0..2 {
            let (fds, left) = (&fds, &left);
            scope.spawn(move || {
                let epoll = epoll(&fds[me]);
                while left.load(SeqCst) != 0 {
                    wait(&epoll);
                    if fds[me].read().is_ok() {
                        let _ = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
                        let _ = fds[1 - me].write(1);
                    }
                }
            });
        }
        let _ = fds[0].write(1);
    });
    began.elapsed()
}

/// Two threads post as fast as they can. Returns the posts, the time, and the system calls of both sides.
fn load(kind: Kind, posts: u32) -> (u64, Duration, u64) {
    let post_all = |machine: &'static Machine| {
        let began = Instant::now();
        let queued: u64 = thread::scope(|scope| {
            let poster = || {
                let csds: Vec<_> = (0..256).map(|_| Arc::new(Csd::new(|| ()))).collect();
                // Leaked: a signal's handler may not be the last to drop one.
                csds.iter().cloned().for_each(std::mem::forget);
                let is_queued = |nth: u32| {
                    machine.post(0, &csds[nth as usize % 256]).expect("it is online") == Posted::Queued
                };
                let queued = (0..posts).map(|nth| u64::from(is_queued(nth))).sum::<u64>();
                csds.iter().for_each(|csd| machine.wait(csd).expect("a thread may wait"));
                queued
            };
            let posters = [scope.spawn(poster), scope.spawn(poster)];
            posters.map(|poster| poster.join().expect("it posts")).iter().sum()
        });
        (queued, began.elapsed())
    };
    let ((queued, took), sleeps, wakes) = with_machine(1, kind, post_all);
    // A wait each, and, of the eventfd, a read for each write, of the signal, a return from its handler.
    let answers = if matches!(kind, Kind::EventFd | Kind::Signal) { wakes } else { 0 };
    (queued, took, wakes + sleeps + answers)
}

fn bare_load(posts: u32) -> (u64, Duration, u64) {
    let fd = eventfd::EventFd::from_flags(eventfd::EfdFlags::EFD_NONBLOCK).expect("few files are open");
    let (done, waits) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let epoll = epoll(&fd);
            while !done.load(SeqCst) {
                wait(&epoll);
                let _ = fd.read();
                waits.fetch_add(2, SeqCst);
            }
        });
        let post = || (0..posts).for_each(|_| _ = fd.write(1));
        let posters = [scope.spawn(post), scope.spawn(post)];
        posters.into_iter().for_each(|poster| poster.join().expect("it writes"));
        done.store(true, SeqCst);
        let _ = fd.write(1);
    });
    let posts = u64::from(posts) * 2;
    (posts, began.elapsed(), posts + waits.load(SeqCst))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let count = std::env::args().nth(1).map_or(200, |text| text.parse().expect("how many hops a block"));
    let has_rings = io_uring::IoUring::new(8).is_ok_and(|ring| {
        // SAFETY: as above.
        MsgRing::by_own_ring(unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) }, 1).is_ok()
    });
    let is_here = |kind: &Kind| !matches!(kind, Kind::MsgRing | Kind::OwnRing) || has_rings;
    let kinds: Vec<_> = KINDS.into_iter().filter(is_here).collect();
    // In turn, so that what else the machine does falls on all. Nanoseconds, and wake-ups, a hop.
    let block = |kind: &Kind| {
        let (took, wakes) = match kind {
            Kind::Bare => (bare_hops(count), u64::from(count)),
            kind => {
                let (took, _, wakes) = with_machine(2, *kind, |machine| hops(machine, count));
                (took, wakes)
            }
        };
        [took.as_nanos() as f64 / f64::from(count), wakes as f64 / f64::from(count)]
    };
    let blocks: Vec<Vec<[f64; 2]>> = (0..BLOCKS).map(|_| kinds.iter().map(block).collect()).collect();
    println!(
        "| doorbell | a hop, ns | ÷ bare | wake-ups a hop | under load: ns a post | system calls a post, both sides |"
    );
    println!("|---|---|---|---|---|---|");
    for (at, kind) in kinds.into_iter().enumerate() {
        let hop_ns = median(blocks.iter().map(|block| block[at][0]).collect());
        let wakes = median(blocks.iter().map(|block| block[at][1]).collect());
        let ratio = median(blocks.iter().map(|block| block[at][0] / block[0][0]).collect());
        let loads: Vec<_> = (0..5)
            .map(|_| if kind == Kind::Bare { bare_load(count * 20) } else { load(kind, count * 20) })
            .collect();
        let post_ns =
            median(loads.iter().map(|(posts, took, _)| took.as_nanos() as f64 / *posts as f64).collect());
        let calls = median(loads.iter().map(|(posts, _, calls)| *calls as f64 / *posts as f64).collect());
        assert!(loads.iter().all(|(posts, ..)| *posts > 0), "{kind:?} has queued nothing");
        println!("| {kind:?} | {hop_ns:.0} | {ratio:.2} | {wakes:.2} | {post_ns:.0} | {calls:.3} |");
    }
}
